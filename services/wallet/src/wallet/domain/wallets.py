"""A wallet as the rules see it: old values in, new values out."""

from datetime import datetime
from enum import IntEnum
from typing import Final, Literal
from uuid import UUID

import msgspec

from contracts.zones import UTC_ZONE
from wallet.domain.limits import Terms, Usages

RestrictionScope = Literal["debits", "all"]
FRAUD: Final = "fraud"
"""The one source that is no operator: it restricts wallets, and only operators lift what it set."""


class WalletStatus(IntEnum):
    """Whether the wallet takes part at all. The numbers are stored."""

    OPEN = 0
    CLOSED = 1


class Restriction(msgspec.Struct, frozen=True):
    """Why a wallet is restricted, by whom and how far. Each source has at most one and lifts only its own."""

    source: str
    scope: RestrictionScope
    reason: str


class Wallet(msgspec.Struct, frozen=True, gc=False):
    """One wallet's row. `available = posted - held`; its floor is `-overdraft_limit_minor`.

    *version* counts the wallet's events, densely from 1; *last_at* is when the newest of them occurred, and never goes
    back: what happens to a wallet that is ahead of the clock happens at its *last_at*.
    *operator_version* is the version at which an operator last changed the restrictions, 0 if none ever did.
    *floor_waived*: a forced entry took it below its floor, where it still is. *terms* are its own limits, *usage* is
    what was counted under limits. Built by position on the write path: the order of the fields is the order of the row.
    """

    id: UUID
    tenant_id: UUID
    owner_id: str
    currency: str
    status: WalletStatus
    restrictions: tuple[Restriction, ...]
    posted_minor: int
    held_minor: int
    overdraft_limit_minor: int
    version: int
    opened_at: datetime
    last_at: datetime
    private: bytes | None
    operator_version: int
    floor_waived: bool = False
    terms: Terms | None = None
    usage: Usages = ()

    @property
    def available_minor(self) -> int:
        """What can be spent, before any overdraft."""
        return self.posted_minor - self.held_minor

    @property
    def spendable_minor(self) -> int:
        """What a debit may take: the distance between the available balance and the floor."""
        return self.posted_minor - self.held_minor + self.overdraft_limit_minor

    @property
    def time_zone(self) -> str:
        """The zone whose days and months its limits count."""
        return UTC_ZONE if self.terms is None else self.terms.time_zone

    @property
    def is_closed(self) -> bool:
        """Closed for good: neither debits nor credits."""
        return self.status == WalletStatus.CLOSED

    @property
    def refuses_debits(self) -> bool:
        """Any restriction refuses debits and new holds."""
        return bool(self.restrictions)

    @property
    def refuses_credits(self) -> bool:
        """Only a restriction of scope `all` refuses credits."""
        return any(restriction.scope == "all" for restriction in self.restrictions)

    def restricted_by(self, source: str) -> Restriction | None:
        """Return the restriction that *source* holds on the wallet, if any."""
        return next((restriction for restriction in self.restrictions if restriction.source == source), None)

    def moved(self, posted_delta_minor: int, held_delta_minor: int, at: datetime, *, forced: bool = False) -> "Wallet":
        """Return the wallet one version on, with the deltas added to what is posted and held.

        *forced* waives its floor. That ends when the floor is kept again.
        """
        posted_minor, held_minor = self.posted_minor + posted_delta_minor, self.held_minor + held_delta_minor
        is_waived = forced or self.floor_waived
        return msgspec.structs.replace(
            self,
            posted_minor=posted_minor,
            held_minor=held_minor,
            version=self.version + 1,
            last_at=max(self.last_at, at),
            floor_waived=is_waived and posted_minor - held_minor < -self.overdraft_limit_minor,
        )

    def with_restrictions(self, restrictions: tuple[Restriction, ...], at: datetime, *, is_operators: bool) -> "Wallet":
        """Return the wallet one version on, under exactly *restrictions*."""
        version = self.version + 1
        return msgspec.structs.replace(
            self,
            restrictions=restrictions,
            version=version,
            operator_version=version if is_operators else self.operator_version,
            last_at=max(at, self.last_at),
        )

    def closed(self, at: datetime) -> "Wallet":
        """Return the wallet one version on, closed."""
        return msgspec.structs.replace(
            self, status=WalletStatus.CLOSED, version=self.version + 1, last_at=max(at, self.last_at)
        )
