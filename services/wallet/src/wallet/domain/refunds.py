"""What was taken back of a transaction: its row, and the facts that change it."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final, Self
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventDataError, EventType
from contracts.events import Private
from contracts.money import money, parse_signed_minor
from wallet.domain.facts import About, EntryFact, Fact, JournalEvent, Transaction, body_of
from wallet.domain.rows import RowKind, Rows, StateName, StateRow
from wallet.domain.wallets import Wallet

REFUNDS_MAX: Final = 100
"""How often a transaction is taken back at most."""


class RefundStatus(IntEnum):
    """How much of a transaction was taken back. The numbers are stored."""

    PARTIALLY_REFUNDED = 0
    REFUNDED = 1
    REVERSED = 2

    @property
    def label(self) -> str:
        """Its name to clients."""
        return self.name.lower()


class Refunded(msgspec.Struct, frozen=True, kw_only=True):
    """What a refunded transaction's row holds besides its columns: the cap is all that its payees got, used went back.

    *returned_minor* is what was posted, the other way round, for each of its entries, missing at the end where nothing
    was. *refunds* are the transactions that did.
    """

    currency: str
    returned_minor: tuple[int, ...] = ()
    refunds: tuple[UUID, ...] = ()


TRANSACTION: Final = RowKind(3, "transaction", Refunded)


def refunded_of(row: StateRow) -> Refunded:
    """Return the body of a refunded transaction's row."""
    assert isinstance(row.body, Refunded)
    return row.body


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What the transaction *refund_id* takes back of *original_id*.

    *amount_minor* of *refundable_minor*, in *currency*; *entries* are places of the original's entries, each with what
    is posted of it, the other way round.
    """

    original_id: UUID
    refund_id: UUID
    currency: str
    amount_minor: int
    refundable_minor: int
    entries: tuple[tuple[int, int, str], ...]


class FeeReturned(EntryFact, frozen=True, gc=False):
    """A fee came back."""

    event: ClassVar[EventType] = events.FEE_RETURNED


class Returned(EntryFact, frozen=True):
    """An entry that takes a transaction back. *taken* stands in the one of that transaction's home wallet.

    *after* is that transaction's row as the fact left it, once that is known.
    """

    moves_only: ClassVar[bool] = False
    changes_states: ClassVar[bool] = True
    settles_as: ClassVar[RefundStatus] = RefundStatus.REFUNDED
    """What the transaction is once nothing is left of it."""
    taken: TakenBack | None = None
    after: StateRow | None = None

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with the entry posted to it, be it below its floor where it is forced."""
        assert wallet is not None
        return wallet.moved(self.amount_minor, self.held_minor, at, forced=self.about.forced)

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the transaction with more of it taken back."""
        taken = self.taken
        if taken is None:
            return ()
        row = rows.get(StateName(TRANSACTION.number, taken.original_id))
        if row is None:
            wallet = rows[self.wallet_id]
            assert isinstance(wallet, Wallet)
            row = _untouched(taken, wallet, at)
        assert isinstance(row, StateRow)
        before = refunded_of(row)
        body = msgspec.structs.replace(
            before,
            returned_minor=_added(before.returned_minor, taken.entries),
            refunds=(*before.refunds, taken.refund_id),
        )
        used_minor = row.used_minor + taken.amount_minor
        status = self.settles_as if used_minor == row.cap_minor else RefundStatus.PARTIALLY_REFUNDED
        return (
            msgspec.structs.replace(
                row,
                body=body,
                used_minor=used_minor,
                status=status.value,
                version=row.version + 1,
                changed_at=max(at, row.changed_at),
            ),
        )

    def leaving(self, states: Sequence[StateRow]) -> "Fact":
        """Return the fact with the transaction's row as it left it."""
        return msgspec.structs.replace(self, after=states[0]) if states else self

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        posted = super().payload(wallet, transaction, private)
        told = None if self.taken is None or self.after is None else _told(self.taken, self.after)
        return events.RefundPosted(**msgspec.structs.asdict(posted), refund=told)

    @classmethod
    def read(cls, event: JournalEvent) -> Self:
        """Return the fact that *event* tells."""
        body = body_of(event, events.RefundPosted)
        about = About(related_transaction_id=body.related_transaction_id, forced=body.forced)
        taken = None if body.refund is None else _read(event, body, body.refund)
        return cls(event.account_id, event.posted_delta, event.held_delta, about=about, taken=taken)


class RefundSent(Returned, frozen=True):
    """A payee gave money back."""

    event: ClassVar[EventType] = events.REFUND_SENT


class RefundReceived(Returned, frozen=True):
    """A payer got money back."""

    event: ClassVar[EventType] = events.REFUND_RECEIVED


class TransactionReversed(Returned, frozen=True):
    """All that was left of a transaction went back, either way."""

    event: ClassVar[EventType] = events.TRANSACTION_REVERSED
    settles_as: ClassVar[RefundStatus] = RefundStatus.REVERSED


class ChargebackDebited(Returned, frozen=True):
    """A bank took a deposit back."""

    event: ClassVar[EventType] = events.CHARGEBACK_DEBITED


def _untouched(taken: TakenBack, wallet: Wallet, at: datetime) -> StateRow:
    """Return the row of a transaction of which nothing was taken back, at version 0."""
    return StateRow(
        kind=TRANSACTION.number,
        id=taken.original_id,
        tenant_id=wallet.tenant_id,
        wallet_id=wallet.id,
        status=RefundStatus.PARTIALLY_REFUNDED.value,
        cap_minor=taken.refundable_minor,
        used_minor=0,
        due_at=None,
        version=0,
        changed_at=at,
        body=Refunded(currency=taken.currency),
        private=None,
    )


def _added(returned_minor: Sequence[int], entries: Sequence[tuple[int, int, str]]) -> tuple[int, ...]:
    length = max([len(returned_minor), *(index + 1 for index, _, _ in entries)])
    after = [*returned_minor, *[0] * (length - len(returned_minor))]
    for index, amount_minor, _ in entries:
        after[index] += amount_minor
    return tuple(after)


def _told(taken: TakenBack, after: StateRow) -> events.Refund:
    return events.Refund(
        amount=money(taken.amount_minor, taken.currency),
        refunded=money(after.used_minor, taken.currency),
        refundable=money(taken.refundable_minor, taken.currency),
        status=RefundStatus(after.status).label,
        entries=tuple(
            events.ReturnedEntry(index=index, amount=money(amount_minor, currency))
            for index, amount_minor, currency in taken.entries
        ),
    )


def _read(event: JournalEvent, body: events.RefundPosted, told: events.Refund) -> TakenBack:
    if body.related_transaction_id is None:
        raise EventDataError(f"wallet {event.account_id}: version {event.version}: it takes nothing back")
    return TakenBack(
        original_id=UUID(body.related_transaction_id),
        refund_id=UUID(body.transaction_id),
        currency=told.amount.currency,
        amount_minor=parse_signed_minor(told.amount),
        refundable_minor=parse_signed_minor(told.refundable),
        entries=tuple((each.index, parse_signed_minor(each.amount), each.amount.currency) for each in told.entries),
    )
