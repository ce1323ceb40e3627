"""Facts: what happened to a wallet, each with the event that tells it and with the one transition that carries it out.

The transition is the same when a command is decided, when a row is rebuilt from the journal, and when a partition of
the journal is archived.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import ClassVar, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventDataError, EventType
from contracts.events import Balance, Counterparty, Private
from contracts.money import Money, money
from wallet.domain.rows import RowKind, Rows, StateName, StateRow
from wallet.domain.wallets import Wallet

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


class JournalBreachError(Exception):
    """The journal contradicts itself; the message names where."""


class JournalEvent(NamedTuple):
    """What a journal row says that has a version: of the wallet *account_id*, or of a row besides wallets.

    Such a row has no balance. *payload* is None for an entry, whose columns say all.
    """

    seq: int
    tenant_id: UUID
    account_id: UUID
    version: int
    type: int
    currency: str
    posted_delta: int
    held_delta: int
    posted_after: int | None
    held_after: int | None
    occurred_at: datetime
    actor: str
    payload: bytes | None


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """The ledger transaction that a fact belongs to, as events name it. *type* is its command's kind."""

    id: str
    type: str


class Fact(msgspec.Struct, frozen=True):
    """Something that happened to the wallet *wallet_id*: what it adds to posted and to held is signed, 0 if nothing."""

    event: ClassVar[EventType]
    is_entry: ClassVar[bool] = False
    """Whether it is an entry of a ledger transaction."""
    opens: ClassVar[bool] = False
    """Whether there is no wallet before it."""
    moves_only: ClassVar[bool] = False
    """Whether it changes nothing but the money in the wallet, no row of another kind either."""
    remakes: ClassVar[bool] = True
    """Whether it changes more of its wallet than the money in it."""
    keeps_text: ClassVar[bool] = False
    """Whether the wallet's row keeps the command's free text: then `keeping` is given it as it is stored."""
    changes_states: ClassVar[bool] = False
    """Whether `evolve_states` has rows to change."""

    wallet_id: UUID
    amount_minor: int = 0
    held_minor: int = 0

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet one version on. *wallet* is None where there was none, *at* when it happened."""
        raise NotImplementedError

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        """Return the rows of other kinds that the fact makes or changes, its wallet's alone, as they are afterwards."""
        raise NotImplementedError

    def leaving(self, states: Sequence[StateRow]) -> "Fact":
        """Return the fact with the rows of other kinds as it left them, of which its event tells."""
        del states
        return self

    def keeping(self, stored: bytes | None) -> "Fact":
        """Return the fact with the free text that the wallet's row keeps."""
        raise NotImplementedError

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body. *wallet* is as the fact left it, *private* the command's free text."""
        raise NotImplementedError

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells; raises EventDataError."""
        raise NotImplementedError


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry's event tells besides, where it applies: the members are those of the event."""

    hold_id: str | None = None
    quote_id: str | None = None
    related_transaction_id: str | None = None
    fee_rule: str | None = None
    policy_version: int | None = None
    forced: bool = False
    conversion: events.Conversion | None = None


_PLAIN: Final = About()


class EntryFact(Fact, frozen=True, gc=False):
    """A wallet's entry of a ledger transaction.

    *counterparty* is whom it dealt with, None where they were several, or where the entry was read back; *about* is
    what its event tells besides.
    """

    is_entry: ClassVar[bool] = True
    moves_only: ClassVar[bool] = True
    remakes: ClassVar[bool] = False
    counterparty: Wallet | str | None = None
    about: About = _PLAIN

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with the entry posted to it."""
        assert wallet is not None
        return wallet.moved(self.amount_minor, self.held_minor, at)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        assert transaction is not None
        posted = events.EntryPosted(
            transaction_id=transaction.id,
            transaction_type=transaction.type,
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            amount=money(self.amount_minor, wallet.currency),
            balance=balance_of(wallet),
            counterparty=None if self.counterparty is None else counterparty_of(self.counterparty),
            private=private,
        )
        if self.about is _PLAIN:
            return posted
        return msgspec.structs.replace(posted, **msgspec.structs.asdict(self.about))

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the entry: its row's columns say all."""
        return cls(event.account_id, event.posted_delta, event.held_delta)


class SystemEntry(msgspec.Struct, frozen=True, gc=False):
    """A system account's entry, which balances an entry of the wallet *wallet_id* and stands in its stream."""

    event: ClassVar[EventType] = events.SYSTEM_ENTRY_POSTED
    is_entry: ClassVar[bool] = True
    wallet_id: UUID
    amount_minor: int
    account: str

    def payload(self, wallet: Wallet, transaction: Transaction) -> msgspec.Struct:
        """Return the event's body."""
        return events.SystemEntryPosted(
            transaction_id=transaction.id,
            transaction_type=transaction.type,
            system_account=self.account,
            amount=money(self.amount_minor, wallet.currency),
            counterparty=counterparty_of(wallet),
        )


AnyFact = Fact | SystemEntry


class RowFact(msgspec.Struct, frozen=True):
    """Something that happened to a row besides wallets that has events of its own: *row_id* is their subject."""

    event: ClassVar[EventType]
    kind: ClassVar[RowKind]
    opens: ClassVar[bool] = True
    """Whether it may be the first of its row."""

    row_id: UUID
    tenant_id: UUID

    @property
    def name(self) -> StateName:
        """The row's name."""
        return StateName(self.kind.number, self.row_id)

    def evolve(self, row: StateRow | None, at: datetime) -> StateRow:
        """Return the row one version on. *row* is None where there was none, *at* when it happened."""
        raise NotImplementedError

    def payload(self, after: StateRow, actor: str, private: Private | None) -> msgspec.Struct:
        """Return the event's body. *after* is the row as the fact left it, *actor* caused it, *private* is its text."""
        raise NotImplementedError

    @classmethod
    def read(cls, event: JournalEvent) -> "RowFact":
        """Return the fact that *event* tells; raises EventDataError."""
        raise NotImplementedError


def balance_of(wallet: Wallet) -> Balance:
    """Return the wallet's balance as events tell it."""
    currency = wallet.currency
    posted = money(wallet.posted_minor, currency)
    if wallet.held_minor == 0:
        return Balance(posted=posted, held=_zero(currency), available=posted)
    return Balance(
        posted=posted, held=money(wallet.held_minor, currency), available=money(wallet.available_minor, currency)
    )


def counterparty_of(other: Wallet | str) -> Counterparty:
    """Return the other side of an entry as events tell it: a wallet, or the system account of that name."""
    if isinstance(other, str):
        return Counterparty(wallet_id=None, owner_id=None, system_account=other)
    return Counterparty(wallet_id=str(other.id), owner_id=other.owner_id, system_account=None)


def body_of(event: JournalEvent, body: type[BodyT]) -> BodyT:
    """Return the body of *event*; raises EventDataError."""
    try:
        decoded: BodyT = _decoder(body).decode(event.payload or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EventDataError(f"wallet {event.account_id}: version {event.version}: {error}") from error
    return decoded


@cache
def _decoder(body: type[BodyT]) -> "msgspec.json.Decoder[BodyT]":
    return msgspec.json.Decoder(body)


@cache
def _zero(currency: str) -> Money:
    return money(0, currency)
