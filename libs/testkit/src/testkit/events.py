"""Events to feed consumers with: a small stream of wallets, dense per shard and per wallet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer

from contracts import events
from contracts.envelope import Envelope, to_headers
from contracts.event_types import EventType
from contracts.events import (
    Balance,
    Counterparty,
    EntryPosted,
    EventData,
    Private,
    Restriction,
    RestrictionsChanged,
    SystemEntryPosted,
    WalletClosed,
    WalletOpened,
)
from contracts.ids import new_id, partition_of, shard_of
from contracts.money import money
from servicekit.consumer.records import Received
from servicekit.relay.settings import PublisherSettings

TENANT = UUID("00000000-0000-7000-8000-000000000001")
SCHEMA_BASE = "https://schemas.example/"
CURRENCY = "USD"
EXTERNAL = "external:USD"
PRIVATE = Private(
    key_id=None,
    reference="order-1",
    description="A thing",
    metadata={"shop": "north"},
    label=None,
    destination=None,
    reason=None,
)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_COMPRESSION = {field.name: field.default for field in fields(PublisherSettings)}["compression"]


def wallet_in(shard: int) -> UUID:
    """Return a new wallet's id in *shard*."""
    return UUID(int=(new_id().int & ~63) | shard)


class Stream:
    """Makes events as the wallet service would: each next one of its shard and of its wallet."""

    def __init__(self) -> None:
        self._sequences: Counter[int] = Counter()
        self._versions: Counter[UUID] = Counter()
        self._posted_minor: Counter[UUID] = Counter()
        self._held_minor: Counter[UUID] = Counter()

    def event(
        self,
        event_type: EventType,
        wallet: UUID,
        data: EventData | bytes,
        *,
        entry: tuple[UUID, int] | None = None,
        has_version: bool = True,
    ) -> Envelope:
        """Return the next event of *wallet* with *data* as its body; *entry* is its transaction and index, of two."""
        shard = shard_of(wallet)
        self._sequences[shard] += 1
        self._versions[wallet] += has_version
        return Envelope(
            shard=shard,
            sequence=self._sequences[shard],
            event_id=new_id(),
            type=event_type.name,
            source="/wallet",
            subject=wallet,
            tenant_id=TENANT,
            time=EPOCH + timedelta(seconds=self._sequences[shard]),
            data=data if isinstance(data, bytes) else msgspec.json.encode(data),
            wallet_version=self._versions[wallet] if has_version else None,
            transaction_id=None if entry is None else entry[0],
            entry_index=None if entry is None else entry[1],
            entry_count=None if entry is None else 2,
        )

    def opened(self, wallet: UUID, *, owner: str = "owner") -> Envelope:
        """Return the opening of *wallet*."""
        body = WalletOpened(
            wallet_id=str(wallet),
            owner_id=owner,
            currency=CURRENCY,
            overdraft_limit=money(0, CURRENCY),
            balance=self._balance(wallet),
            private=None,
        )
        return self.event(events.OPENED, wallet, body)

    def deposited(
        self, wallet: UUID, amount_minor: int = 100, *, owner: str = "owner", transaction_id: UUID | None = None
    ) -> Envelope:
        """Return the wallet's entry of a deposit, without the system account's."""
        other = Counterparty(wallet_id=None, owner_id=None, system_account=EXTERNAL)
        place = (transaction_id or new_id(), 0)
        return self._entry(events.FUNDS_DEPOSITED, wallet, amount_minor, owner=owner, other=other, entry=place)

    def deposit(self, wallet: UUID, amount_minor: int = 100, *, owner: str = "owner") -> tuple[Envelope, Envelope]:
        """Return both entries of a deposit: the wallet's and the system account's."""
        transaction_id = new_id()
        entry = self.deposited(wallet, amount_minor, owner=owner, transaction_id=transaction_id)
        body = SystemEntryPosted(
            transaction_id=str(transaction_id),
            transaction_type="deposit",
            system_account=EXTERNAL,
            amount=money(-amount_minor, CURRENCY),
            counterparty=Counterparty(wallet_id=str(wallet), owner_id=owner, system_account=None),
        )
        return entry, self.event(events.SYSTEM_ENTRY_POSTED, wallet, body, entry=(transaction_id, 1), has_version=False)

    def transfer(
        self,
        source: UUID,
        destination: UUID,
        amount_minor: int = 10,
        *,
        owners: tuple[str, str] = ("owner", "owner"),
        private: Private | None = PRIVATE,
    ) -> tuple[Envelope, Envelope]:
        """Return both entries of a transfer between wallets of *owners*, the payer's and the payee's."""
        transaction_id = new_id()
        payer, payee = owners
        sent = self._entry(
            events.FUNDS_SENT,
            source,
            -amount_minor,
            other=Counterparty(wallet_id=str(destination), owner_id=payee, system_account=None),
            entry=(transaction_id, 0),
            owner=payer,
            private=private,
        )
        received = self._entry(
            events.FUNDS_RECEIVED,
            destination,
            amount_minor,
            other=Counterparty(wallet_id=str(source), owner_id=payer, system_account=None),
            entry=(transaction_id, 1),
            owner=payee,
            private=private,
        )
        return sent, received

    def fee(self, wallet: UUID, amount_minor: int) -> Envelope:
        """Return the entry of a fee that *wallet* bears, of a transaction of its own."""
        other = Counterparty(wallet_id=None, owner_id=None, system_account=f"fees:{CURRENCY}")
        return self._entry(events.FEE_CHARGED, wallet, -amount_minor, other=other, entry=(new_id(), 0))

    def returned(
        self,
        event_type: EventType,
        wallet: UUID,
        amount_minor: int,
        *,
        of: UUID,
        entry: tuple[UUID, int],
        refund: tuple[int, int] | None = None,
        forced: bool = False,
    ) -> Envelope:
        """Return an entry that takes the transaction *of* back; *refund* tells how much of how much in all."""
        self._posted_minor[wallet] += amount_minor
        told = None
        if refund is not None:
            amount, refundable = (money(minor, CURRENCY) for minor in refund)
            told = events.Refund(
                amount=amount, refunded=amount, refundable=refundable, status="partially_refunded", entries=()
            )
        body = events.RefundPosted(
            transaction_id=str(entry[0]),
            transaction_type="refund",
            wallet_id=str(wallet),
            owner_id="owner",
            amount=money(amount_minor, CURRENCY),
            balance=self._balance(wallet),
            counterparty=None,
            private=PRIVATE,
            related_transaction_id=str(of),
            forced=forced,
            refund=told,
        )
        return self.event(event_type, wallet, body, entry=entry)

    def held(self, wallet: UUID, payee: UUID, amount_minor: int = 10) -> list[Envelope]:
        """Return the life of a hold: placed, increased by one, captured by a part, paid to *payee*, and released."""
        hold_id, transaction_id, in_all = new_id(), new_id(), amount_minor + 1
        placed = self._hold_changed(events.HOLD_PLACED, wallet, amount_minor, _hold(hold_id, amount_minor, 0, 0))
        increased = self._hold_changed(events.HOLD_INCREASED, wallet, 1, _hold(hold_id, in_all, 0, 0))
        self._posted_minor[wallet] -= 1
        self._held_minor[wallet] -= 1
        captured = events.HoldCaptured(
            transaction_id=str(transaction_id),
            transaction_type="capture",
            wallet_id=str(wallet),
            owner_id="owner",
            amount=money(-1, CURRENCY),
            balance=self._balance(wallet),
            counterparty=Counterparty(wallet_id=str(payee), owner_id="owner", system_account=None),
            hold=_hold(hold_id, in_all, 1, 0),
            private=PRIVATE,
        )
        capture = self.event(events.HOLD_CAPTURED, wallet, captured, entry=(transaction_id, 0))
        payer = Counterparty(wallet_id=str(wallet), owner_id="owner", system_account=None)
        paid = self._entry(
            events.FUNDS_RECEIVED, payee, 1, other=payer, entry=(transaction_id, 1), transaction_type="capture"
        )
        self._held_minor[wallet] -= amount_minor
        released = events.HoldReleased(
            wallet_id=str(wallet),
            owner_id="owner",
            amount=money(amount_minor, CURRENCY),
            hold=_hold(hold_id, in_all, 1, amount_minor),
            cause="voided",
            balance=self._balance(wallet),
            private=None,
        )
        return [placed, increased, capture, paid, self.event(events.HOLD_RELEASED, wallet, released)]

    def _hold_changed(self, event_type: EventType, wallet: UUID, more_minor: int, hold: events.Hold) -> Envelope:
        self._held_minor[wallet] += more_minor
        body = events.HoldChanged(
            wallet_id=str(wallet),
            owner_id="owner",
            amount=money(more_minor, CURRENCY),
            hold=hold,
            balance=self._balance(wallet),
            private=None,
        )
        return self.event(event_type, wallet, body)

    def _balance(self, wallet: UUID) -> Balance:
        posted_minor, held_minor = self._posted_minor[wallet], self._held_minor[wallet]
        return Balance(
            posted=money(posted_minor, CURRENCY),
            held=money(held_minor, CURRENCY),
            available=money(posted_minor - held_minor, CURRENCY),
        )

    def restricted(self, wallet: UUID, *, lifted: bool = False) -> Envelope:
        """Return the setting, or the lifting, of a restriction."""
        body = RestrictionsChanged(
            wallet_id=str(wallet),
            owner_id="owner",
            source="operator",
            scope="debits",
            restrictions=[] if lifted else [Restriction(source="operator", scope="debits")],
            balance=self._balance(wallet),
            private=None,
        )
        return self.event(events.UNRESTRICTED if lifted else events.RESTRICTED, wallet, body)

    def terms(self, wallet: UUID) -> list[Envelope]:
        """Return a wallet's new credit line, limits and details."""
        told: Any = {
            "wallet_id": str(wallet),
            "owner_id": "owner",
            "balance": self._balance(wallet),
            "private": PRIVATE,
        }
        line, none = money(500, CURRENCY), money(0, CURRENCY)
        limits = [events.Limit(scope="wallet", operation="debit", currency=CURRENCY, day_count=3)]
        return [
            self.event(
                events.OVERDRAFT_CHANGED, wallet, events.OverdraftChanged(limit=line, limit_before=none, **told)
            ),
            self.event(events.LIMITS_CHANGED, wallet, events.LimitsChanged(time_zone="UTC", limits=limits, **told)),
            self.event(events.DETAILS_CHANGED, wallet, events.DetailsChanged(**told)),
        ]

    def closed(self, wallet: UUID) -> Envelope:
        """Return the closing of *wallet*."""
        body = WalletClosed(wallet_id=str(wallet), owner_id="owner", balance=self._balance(wallet), private=None)
        return self.event(events.CLOSED, wallet, body)

    def _entry(
        self,
        event_type: EventType,
        wallet: UUID,
        amount_minor: int,
        *,
        other: Counterparty,
        entry: tuple[UUID, int],
        owner: str = "owner",
        private: Private | None = PRIVATE,
        transaction_type: str | None = None,
    ) -> Envelope:
        self._posted_minor[wallet] += amount_minor
        body = EntryPosted(
            transaction_id=str(entry[0]),
            transaction_type=transaction_type or ("deposit" if other.system_account else "transfer"),
            wallet_id=str(wallet),
            owner_id=owner,
            amount=money(amount_minor, CURRENCY),
            balance=self._balance(wallet),
            counterparty=other,
            private=private,
        )
        return self.event(event_type, wallet, body, entry=entry)


def _hold(hold_id: UUID, amount_minor: int, captured_minor: int, released_minor: int) -> events.Hold:
    remaining_minor = amount_minor - captured_minor - released_minor
    return events.Hold(
        id=str(hold_id),
        purpose="payment",
        amount=money(amount_minor, CURRENCY),
        fee_reserved=money(0, CURRENCY),
        captured=money(captured_minor, CURRENCY),
        released=money(released_minor, CURRENCY),
        remaining=money(remaining_minor, CURRENCY),
        expires_at="2030-01-01T00:00:00.000000Z",
        status="open" if remaining_minor else "voided",
    )


def received(event: Envelope, offset: int = 0) -> Received:
    """Return *event* as a consumer has received it, from partition 0."""
    place = (event.shard, event.sequence, event.event_id, event.subject)
    return Received(*place, 0, offset, len(event.data), event, None)


async def publish(bootstrap_servers: str, topic: str, partitions: int, stream: Iterable[Envelope]) -> None:
    """Publish *stream* in its order, each event to its shard's partition, compressed as the relay does it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=2, compression_type=_COMPRESSION)
    await producer.start()
    try:
        sent: Sequence[object] = [
            await producer.send(
                topic,
                value=event.data,
                key=str(event.subject).encode(),
                partition=partition_of(event.shard, partitions),
                headers=to_headers(event, schema_base=SCHEMA_BASE),
            )
            for event in stream
        ]
        for delivery in sent:
            await delivery  # type: ignore[misc]  # the client's futures carry no types
    finally:
        await producer.stop()
