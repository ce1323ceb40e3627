"""Events to feed consumers with: a small stream of wallets, dense per shard and per wallet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer

from contracts.envelope import Envelope, to_headers
from contracts.events import (
    FUNDS_DEPOSITED,
    OPENED,
    Balance,
    Counterparty,
    EntryPosted,
    EventData,
    EventType,
    WalletOpened,
)
from contracts.ids import new_id, partition_of, shard_of
from contracts.money import money

TENANT = UUID("00000000-0000-7000-8000-000000000001")
SCHEMA_BASE = "https://schemas.example/"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def wallet_in(shard: int) -> UUID:
    """Return a new wallet's id in *shard*."""
    return UUID(int=(new_id().int & ~63) | shard)


class Stream:
    """Makes events as the wallet service would: each next one of its shard and of its wallet."""

    def __init__(self) -> None:
        self._sequences: Counter[int] = Counter()
        self._versions: Counter[UUID] = Counter()
        self._posted_minor: Counter[UUID] = Counter()

    def event(
        self,
        event_type: EventType,
        wallet: UUID,
        data: EventData | bytes,
        *,
        transaction_id: UUID | None = None,
        entry_index: int | None = None,
        entry_count: int | None = None,
        has_version: bool = True,
    ) -> Envelope:
        """Return the next event of *wallet*, with *data* as its body."""
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
            transaction_id=transaction_id,
            entry_index=entry_index,
            entry_count=entry_count,
        )

    def opened(self, wallet: UUID, *, owner: str = "owner") -> Envelope:
        """Return the opening of *wallet*."""
        zero = money(0, "USD")
        body = WalletOpened(
            wallet_id=str(wallet),
            owner_id=owner,
            currency="USD",
            overdraft_limit=zero,
            balance=Balance(posted=zero, held=zero, available=zero),
            private=None,
        )
        return self.event(OPENED, wallet, body)

    def deposited(self, wallet: UUID, amount_minor: int = 100, *, owner: str = "owner") -> Envelope:
        """Return the wallet's entry of a deposit, without the system's entry."""
        self._posted_minor[wallet] += amount_minor
        transaction_id = new_id()
        posted, zero = money(self._posted_minor[wallet], "USD"), money(0, "USD")
        body = EntryPosted(
            transaction_id=str(transaction_id),
            transaction_type="deposit",
            wallet_id=str(wallet),
            owner_id=owner,
            amount=money(amount_minor, "USD"),
            balance=Balance(posted=posted, held=zero, available=posted),
            counterparty=Counterparty(wallet_id=None, owner_id=None, system_account="external:USD"),
            private=None,
        )
        return self.event(FUNDS_DEPOSITED, wallet, body, transaction_id=transaction_id, entry_index=0, entry_count=2)


async def publish(bootstrap_servers: str, topic: str, partitions: int, events: Iterable[Envelope]) -> None:
    """Publish *events* in their order, each to its shard's partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=2)
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
            for event in events
        ]
        for delivery in sent:
            await delivery  # type: ignore[misc]  # the client's futures carry no types
    finally:
        await producer.stop()
