"""Holds: money set aside for somebody, which only a capture may spend."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts import events
from contracts.access import subject_id
from contracts.envelope import rfc3339
from contracts.event_types import EventType
from contracts.events import Private
from contracts.money import money, parse_signed_minor
from contracts.times import parse_instant
from wallet.domain.facts import (
    About,
    EntryFact,
    Fact,
    JournalEvent,
    Transaction,
    balance_of,
    body_of,
    counterparty_of,
)
from wallet.domain.rows import RowKind, Rows, StateName, StateRow
from wallet.domain.texts import stored_text
from wallet.domain.wallets import Wallet

PAYMENT: Final = "payment"
CAPTURE: Final = "capture"
VOIDED: Final = "voided"
EXPIRED: Final = "expired"
FINAL_CAPTURE: Final = "final_capture"
"""Why what a hold held is available again."""
_NOBODY: Final = UUID(int=0)


class HoldStatus(IntEnum):
    """Whether money is held, and why none is. The numbers are stored."""

    OPEN = 0
    CAPTURED = 1
    VOIDED = 2
    EXPIRED = 3


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold's row holds besides its columns, of which the cap is all that was placed and used what is settled.

    *client* placed it, at *placed_at*; *increases* are when by how much more, without the fee, was held later.
    *captures* are the transactions that captured it. What is held has
    *fee_reserved* in it: what is left of the payer's fee, by *fee_rule* of *policy_version*.
    """

    currency: str
    purpose: str
    client: UUID
    placed_at: datetime
    expires_at: datetime
    captured_minor: int = 0
    released_minor: int = 0
    fee_reserved_minor: int = 0
    fee_rule: str | None = None
    policy_version: int | None = None
    captures: tuple[UUID, ...] = ()
    increases: tuple[tuple[datetime, int], ...] = ()


HOLD: Final = RowKind(2, "hold", Hold)
_STATUSES: Final = {status.value: status.name.lower() for status in HoldStatus}


def hold_of(row: StateRow) -> Hold:
    """Return the body of a hold's row."""
    assert isinstance(row.body, Hold)
    return row.body


def status_of(row: StateRow) -> str:
    """Return the hold's status as clients know it: `open`, `captured`, `voided` or `expired`."""
    return _STATUSES[row.status]


def held_minor_of(row: StateRow) -> int:
    """Return what is still held, what is reserved of the fee included."""
    assert row.cap_minor is not None
    return row.cap_minor - row.used_minor


def remaining_minor(row: StateRow) -> int:
    """Return what can still be captured."""
    return held_minor_of(row) - hold_of(row).fee_reserved_minor


def amount_minor_of(row: StateRow) -> int:
    """Return all that was placed, without the fee: captured + released + remaining."""
    hold = hold_of(row)
    return hold.captured_minor + hold.released_minor + remaining_minor(row)


_SETTLED_BY: Final = {
    VOIDED: HoldStatus.VOIDED,
    EXPIRED: HoldStatus.EXPIRED,
    FINAL_CAPTURE: HoldStatus.CAPTURED,
}


# -- facts


class _HoldFact(Fact, frozen=True, kw_only=True):
    """Something that happened to the hold *hold_id*; *after* is its row as the fact left it, once that is known."""

    changes_states: ClassVar[bool] = True
    remakes: ClassVar[bool] = False
    hold_id: UUID
    after: StateRow | None = None

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with more or less of it held."""
        assert wallet is not None
        return wallet.moved(self.amount_minor, self.held_minor, at)

    def leaving(self, states: Sequence[StateRow]) -> "Fact":
        """Return the fact with the hold's row as it left it."""
        (after,) = states
        return msgspec.structs.replace(self, after=after)


class HoldPlaced(_HoldFact, frozen=True, kw_only=True):
    """Money is held from now on. *client* placed the hold; *private* is its free text as the row keeps it.

    What is held has *fee_reserved_minor* in it, by *fee_rule* of *policy_version*.
    """

    event: ClassVar[EventType] = events.HOLD_PLACED
    keeps_text: ClassVar[bool] = True
    client: UUID
    expires_at: datetime
    fee_reserved_minor: int = 0
    fee_rule: str | None = None
    policy_version: int | None = None
    private: bytes | None = None

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the new hold."""
        wallet = rows[self.wallet_id]
        assert isinstance(wallet, Wallet)
        body = Hold(
            currency=wallet.currency,
            purpose=PAYMENT,
            client=self.client,
            placed_at=at,
            expires_at=self.expires_at,
            fee_reserved_minor=self.fee_reserved_minor,
            fee_rule=self.fee_rule,
            policy_version=self.policy_version,
        )
        placed = StateRow(
            kind=HOLD.number,
            id=self.hold_id,
            tenant_id=wallet.tenant_id,
            wallet_id=wallet.id,
            status=HoldStatus.OPEN.value,
            cap_minor=self.held_minor,
            used_minor=0,
            due_at=self.expires_at,
            version=1,
            changed_at=at,
            body=body,
            private=self.private,
        )
        return (placed,)

    def keeping(self, stored: bytes | None) -> "Fact":
        """Return the fact with the free text that the hold's row keeps."""
        return msgspec.structs.replace(self, private=stored)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return _changed_body(self, wallet, private)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.HoldChanged)
        return cls(
            event.account_id,
            held_minor=event.held_delta,
            hold_id=UUID(body.hold.id),
            client=subject_id(event.tenant_id, event.actor),
            expires_at=parse_instant(body.hold.expires_at),
            fee_reserved_minor=event.held_delta - parse_signed_minor(body.amount),
            fee_rule=body.fee_rule,
            policy_version=body.policy_version,
            private=stored_text(body.private),
        )


class HoldIncreased(_HoldFact, frozen=True, kw_only=True):
    """More is held, or for longer. What more is held has *fee_reserved_minor* in it."""

    event: ClassVar[EventType] = events.HOLD_INCREASED
    expires_at: datetime
    fee_reserved_minor: int = 0

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the hold with more in it, ending at *expires_at*."""
        row = hold_row(rows, self.hold_id)
        before = hold_of(row)
        reserved_minor = before.fee_reserved_minor + self.fee_reserved_minor
        more_minor = self.held_minor - self.fee_reserved_minor
        body = msgspec.structs.replace(
            before,
            expires_at=self.expires_at,
            fee_reserved_minor=reserved_minor,
            increases=(*before.increases, (at, more_minor)) if more_minor else before.increases,
        )
        assert row.cap_minor is not None
        return (next_hold(row, body, at, cap_minor=row.cap_minor + self.held_minor),)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return _changed_body(self, wallet, private)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.HoldChanged)
        return cls(
            event.account_id,
            held_minor=event.held_delta,
            hold_id=UUID(body.hold.id),
            expires_at=parse_instant(body.hold.expires_at),
            fee_reserved_minor=event.held_delta - parse_signed_minor(body.amount),
        )


class HoldCaptured(EntryFact, frozen=True):
    """Money that was held went to whom it was held for, by the ledger transaction *transaction_id*."""

    event: ClassVar[EventType] = events.HOLD_CAPTURED
    moves_only: ClassVar[bool] = False
    changes_states: ClassVar[bool] = True
    hold_id: UUID = _NOBODY
    transaction_id: UUID = _NOBODY
    after: StateRow | None = None

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with what was captured gone, be it below its floor where that is forced."""
        assert wallet is not None
        return wallet.moved(self.amount_minor, self.held_minor, at, forced=self.about.forced)

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the hold with more of it captured: settled, where that was all."""
        row = hold_row(rows, self.hold_id)
        before, captured_minor = hold_of(row), -self.held_minor
        body = msgspec.structs.replace(
            before,
            captured_minor=before.captured_minor + captured_minor,
            captures=(*before.captures, self.transaction_id),
        )
        return (next_hold(row, body, at, used_minor=row.used_minor + captured_minor, settled=HoldStatus.CAPTURED),)

    def leaving(self, states: Sequence[StateRow]) -> "Fact":
        """Return the fact with the hold's row as it left it."""
        (after,) = states
        return msgspec.structs.replace(self, after=after)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        assert transaction is not None
        assert self.after is not None
        return events.HoldCaptured(
            transaction_id=transaction.id,
            transaction_type=transaction.type,
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            amount=money(self.amount_minor, wallet.currency),
            balance=balance_of(wallet),
            counterparty=None if self.counterparty is None else counterparty_of(self.counterparty),
            hold=_told(self.after),
            private=private,
            forced=self.about.forced,
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.HoldCaptured)
        return cls(
            event.account_id,
            event.posted_delta,
            event.held_delta,
            about=About(forced=body.forced),
            hold_id=UUID(body.hold.id),
            transaction_id=UUID(body.transaction_id),
        )


class HoldReleased(_HoldFact, frozen=True, kw_only=True):
    """All that was left in the hold is available again, for *cause*, what was reserved of the fee included."""

    event: ClassVar[EventType] = events.HOLD_RELEASED
    cause: str

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the hold, settled."""
        row = hold_row(rows, self.hold_id)
        before, freed_minor = hold_of(row), -self.held_minor
        released_minor = before.released_minor + freed_minor - before.fee_reserved_minor
        body = msgspec.structs.replace(before, released_minor=released_minor, fee_reserved_minor=0)
        return (next_hold(row, body, at, used_minor=row.used_minor + freed_minor, settled=_SETTLED_BY[self.cause]),)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        assert self.after is not None
        return events.HoldReleased(
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            amount=money(-self.held_minor, wallet.currency),
            hold=_told(self.after),
            cause=self.cause,
            balance=balance_of(wallet),
            private=private,
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.HoldReleased)
        return cls(event.account_id, held_minor=event.held_delta, hold_id=UUID(body.hold.id), cause=body.cause)


def hold_row(rows: Rows, hold_id: UUID) -> StateRow:
    """Return the hold's row, which is there."""
    row = rows[StateName(HOLD.number, hold_id)]
    assert isinstance(row, StateRow)
    return row


def next_hold(
    row: StateRow, body: Hold, at: datetime, *, settled: HoldStatus | None = None, **columns: int
) -> StateRow:
    """Return the row one version on, with *body* and other *columns*; *settled* where nothing remains of it then.

    One that is settled stays as it was settled, whatever is captured by force.
    """
    is_open = row.status == HoldStatus.OPEN
    due_at = body.expires_at if is_open else None
    after = msgspec.structs.replace(
        row, body=body, version=row.version + 1, changed_at=max(at, row.changed_at), due_at=due_at, **columns
    )
    if settled is None or remaining_minor(after) > 0 or not is_open:
        return after
    return msgspec.structs.replace(after, status=settled.value, due_at=None)


def _changed_body(fact: HoldPlaced | HoldIncreased, wallet: Wallet, private: Private | None) -> events.HoldChanged:
    assert fact.after is not None
    return events.HoldChanged(
        wallet_id=str(wallet.id),
        owner_id=wallet.owner_id,
        amount=money(fact.held_minor - fact.fee_reserved_minor, wallet.currency),
        hold=_told(fact.after),
        balance=balance_of(wallet),
        private=private,
        fee_rule=hold_of(fact.after).fee_rule,
        policy_version=hold_of(fact.after).policy_version,
    )


def _told(row: StateRow) -> events.Hold:
    hold = hold_of(row)
    currency = hold.currency
    return events.Hold(
        id=str(row.id),
        purpose=hold.purpose,
        amount=money(amount_minor_of(row), currency),
        fee_reserved=money(hold.fee_reserved_minor, currency),
        captured=money(hold.captured_minor, currency),
        released=money(hold.released_minor, currency),
        remaining=money(remaining_minor(row), currency),
        expires_at=rfc3339(hold.expires_at),
        status=status_of(row),
    )
