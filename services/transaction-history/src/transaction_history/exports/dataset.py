"""What a dataset is: columns, where rows come from, in which order, and what narrows them.

The parts of a statement name rows that were scanned as `s`; a scan reads so many rows of the tenant in the order of its
keys and no more, whatever the filters let through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from transaction_history.domain.tables import CellKind, Head


class Form(Enum):
    """How what the database gives becomes a cell."""

    PLAIN = auto()
    MONEY = auto()
    """Minor units of the row's currency."""
    AMOUNTS = auto()
    """JSON of minor units by currency."""
    INSTANT = auto()
    PRIVATE = auto()
    """A field of the row's free text, named as the column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset; *sql* gives it, but for free text."""

    name: str
    kind: CellKind
    form: Form
    sql: str = ""

    @property
    def head(self) -> Head:
        """What writers know of it."""
        return Head(self.name, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is exported. *scan* has the place {where}; *joins* add to what was scanned.

    *keys* are the order, each with the type of its values; *after* compares them with {0}, {1} … *tenant* and *owner*
    are SQL within the scan, *wallets* narrows it to the owners of wallets. *existed* says which rows there were.
    *filters* are SQL over `s` and what was joined, each with the place {}; *statuses* are what one of them knows. Where
    it *is_of_wallets*, each row is of one, and those of parked ones are left out.
    """

    name: str
    columns: Sequence[Column]
    scan: str
    keys: Sequence[tuple[str, Any]]
    after: str
    tenant: str
    owner: str = ""
    wallets: str = ""
    joins: str = ""
    existed: str
    filters: Mapping[str, str]
    statuses: Sequence[str] = ()
    is_of_wallets: bool = True

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        return next((each for each in self.columns if each.name == name), None)


def code(name: str, sql: str | None = None) -> Column:
    """Return a column of names of ours."""
    return Column(name, CellKind.CODE, Form.PLAIN, sql or f"s.{name}")


def id_text(name: str, sql: str | None = None) -> Column:
    """Return a column of ids."""
    return Column(name, CellKind.CODE, Form.PLAIN, f"{sql or f's.{name}'}::text")


def text(name: str, sql: str | None = None) -> Column:
    """Return a column of what somebody wrote."""
    return Column(name, CellKind.TEXT, Form.PLAIN, sql or f"s.{name}")


def money(name: str, sql: str) -> Column:
    """Return a column of minor units of the row's currency."""
    return Column(name, CellKind.DECIMAL, Form.MONEY, sql)


def number(name: str, sql: str | None = None) -> Column:
    """Return a column of whole numbers."""
    return Column(name, CellKind.NUMBER, Form.PLAIN, sql or f"s.{name}")


def instant(name: str, sql: str | None = None) -> Column:
    """Return a column of instants."""
    return Column(name, CellKind.CODE, Form.INSTANT, sql or f"s.{name}")


def private(name: str) -> Column:
    """Return a column of a field of free text."""
    return Column(name, CellKind.TEXT, Form.PRIVATE)


AS_OF: Final = "{alias}.seq <= ({{as_of}}::bigint[])[1 + (get_byte(uuid_send({alias}.wallet_id), 15) & 63)]"
"""Whether a row was there when the job first looked: {as_of} has a sequence by shard."""
OF_WALLETS: Final[Mapping[str, Any]] = {
    "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id) > ({0}, {1})",
    "tenant": "w.tenant_id",
    "owner": "w.owner_id",
    "wallets": "w.wallet_id = any ({ids}::uuid[])",
}
"""A dataset of a row per wallet, scanned as `w`."""
