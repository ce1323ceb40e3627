"""Fees that were charged: entries of the transaction that they are for."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventType
from wallet.domain.facts import About, EntryFact, Fact, JournalEvent, body_of
from wallet.domain.holds import hold_of, hold_row, next_hold
from wallet.domain.rows import Rows, StateRow
from wallet.domain.wallets import Wallet

_NO_HOLD = UUID(int=0)


class FeeCharged(EntryFact, frozen=True):
    """A fee was taken from the wallet.

    It is forced where the wallet is below its floor already: what it gets in the same transaction is more.
    """

    event: ClassVar[EventType] = events.FEE_CHARGED

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with the fee gone, be it below its floor where it was there before."""
        assert wallet is not None
        return wallet.moved(self.amount_minor, self.held_minor, at, forced=self.about.forced)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.EntryPosted)
        about = About(forced=body.forced)
        if not event.held_delta:
            return FeeCharged(event.account_id, event.posted_delta, about=about)
        hold_id = UUID(body.hold_id)
        return HoldFeeCharged(event.account_id, event.posted_delta, event.held_delta, about=about, hold_id=hold_id)


class HoldFeeCharged(FeeCharged, frozen=True):
    """A fee was taken out of what the hold *hold_id* reserves."""

    moves_only: ClassVar[bool] = False
    changes_states: ClassVar[bool] = True
    hold_id: UUID = _NO_HOLD

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the hold with less of the fee reserved."""
        row = hold_row(rows, self.hold_id)
        before = hold_of(row)
        body = msgspec.structs.replace(before, fee_reserved_minor=before.fee_reserved_minor + self.held_minor)
        return (next_hold(row, body, at, used_minor=row.used_minor - self.held_minor),)
