"""The rows of the index. Amounts are integers of minor units, times are aware."""

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec


class SearchRow(msgspec.Struct, frozen=True):
    """An entry as it is found again, by its *terms*; its fields are the columns of its table, in order."""

    occurred_at: datetime
    shard: int
    seq: int
    tenant_id: UUID
    owner_id: str
    wallet_id: UUID
    version: int
    event_id: UUID
    currency: str
    amount_minor: int
    terms: list[int]


class Flow(msgspec.Struct):
    """How many entries, and what came in and went out, both without a sign."""

    entries: int = 0
    credits_minor: int = 0
    debits_minor: int = 0

    def add(self, amount_minor: int) -> None:
        """Count an entry."""
        self.entries += 1
        if amount_minor > 0:
            self.credits_minor += amount_minor
        else:
            self.debits_minor -= amount_minor


class Traffic(Flow):
    """A flow, and how many *transactions* have their first entry in it."""

    transactions: int = 0


class WalletHour(Flow, kw_only=True):
    """A wallet's entries of an hour."""

    shard: int
    tenant_id: UUID
    owner_id: str
    currency: str


class Counterparty(Flow, kw_only=True):
    """A wallet's entries with one other side."""

    counterparty_owner_id: str | None
    shard: int
    tenant_id: UUID
    owner_id: str
    currency: str
    first_at: datetime
    last_at: datetime


class ShardTotal(msgspec.Struct):
    """By how much open wallets, and what is posted and held in them, changed."""

    wallets: int = 0
    posted_minor: int = 0
    held_minor: int = 0


class Opposite(NamedTuple):
    """The other side of an entry: a wallet, or a system account."""

    wallet_id: UUID | None
    account: str | None


HourKey = tuple[UUID, datetime]
CounterpartyKey = tuple[UUID, Opposite]
DayKey = tuple[UUID, date, str, str, int]
MinuteKey = tuple[UUID, datetime, str, str, int]
ShardKey = tuple[UUID, str, int]


class IndexRows(msgspec.Struct):
    """What a run of events writes: rows that are new, and by how much counters change, by their keys."""

    search: list[SearchRow] = []
    hours: dict[HourKey, WalletHour] = {}
    counterparties: dict[CounterpartyKey, Counterparty] = {}
    days: dict[DayKey, Traffic] = {}
    minutes: dict[MinuteKey, Traffic] = {}
    shards: dict[ShardKey, ShardTotal] = {}
    held: dict[UUID, int] = {}
    """What is held of the wallets where that changed."""
