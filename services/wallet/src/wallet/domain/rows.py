"""The rows a command names: wallets, and rows of any other kind, by their names."""

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from wallet.domain.wallets import Wallet


class StateName(NamedTuple):
    """Names a row of `wallet.state`. *kind* is its RowKind's number."""

    kind: int
    id: UUID


RowName = UUID | StateName
"""A wallet's name is its id."""


class RowKind(NamedTuple):
    """A kind of row besides wallets. *number* is stored and never used again; *body* is the struct of its JSON.

    One without events cannot be made again from the journal.
    """

    number: int
    name: str
    body: type[msgspec.Struct]
    has_events: bool = True


class StateRow(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever a command locks or changes besides wallets: a hold, a quote, a policy.

    *used_minor* never exceeds *cap_minor* (None: no bound): the database refuses such a row. *status* 0 is open.
    *due_at* is when something is to be done with it. *body* is the struct of its kind, *private* its free text.
    """

    kind: int
    id: UUID
    tenant_id: UUID
    wallet_id: UUID | None
    status: int
    cap_minor: int | None
    used_minor: int
    due_at: datetime | None
    version: int
    changed_at: datetime
    body: msgspec.Struct
    private: bytes | None

    @property
    def name(self) -> StateName:
        """The name under which commands know it."""
        return StateName(self.kind, self.id)


Row = Wallet | StateRow


def name_of(row: Row) -> RowName:
    """Return the name of *row*."""
    return row.id if isinstance(row, Wallet) else row.name


class UnnamedRowError(LookupError):
    """A rule looked for a row that its command does not name."""

    def __init__(self, name: RowName) -> None:
        super().__init__(name)
        self.name = name


class Rows(dict[RowName, Row | None]):
    """Every row that is named, by its name; None where there is no such row. Raises UnnamedRowError for any other."""

    def __missing__(self, name: RowName) -> Row | None:
        """Refuse a row that nobody read: it might exist."""
        raise UnnamedRowError(name)

    def copy(self) -> "Rows":
        """Return the same rows in another mapping."""
        return Rows(self)

    def wallet(self, wallet_id: UUID, tenant_id: UUID) -> Wallet | None:
        """Return the tenant's wallet, or None: one of another tenant is treated as if it did not exist."""
        row = self[wallet_id]
        return row if isinstance(row, Wallet) and row.tenant_id == tenant_id else None

    def state(self, kind: RowKind, row_id: UUID, tenant_id: UUID) -> StateRow | None:
        """Return the tenant's row of *kind*, or None, as `wallet` does."""
        row = self[StateName(kind.number, row_id)]
        return row if isinstance(row, StateRow) and row.tenant_id == tenant_id else None


class UsageChange(Protocol):
    """What is counted under limits from now on, in one row: no event tells it."""

    def apply(self, rows: Rows, at: datetime) -> None:
        """Put it into the row."""
        ...
