"""A long past of wallets for benchmarks: true events, spread over 24 months, whose rows may be copied some times."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client import CollectorRegistry

from contracts import events
from contracts.envelope import Envelope
from contracts.events import Balance, Counterparty, EntryPosted, Private
from contracts.ids import SHARDS, new_id, shard_of
from contracts.money import money
from servicekit.clock import monotonic_s
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import open_pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.events import TENANT, Stream, received, wallet_in
from transaction_history import bootstrap
from transaction_history.config import HistorySettings, Segment
from transaction_history.domain.index_rows import SearchRow
from transaction_history.domain.rows import EntryRow
from transaction_history.projection.columns import columns_of

POLL: Final = 5_000
PORTION: Final = 50_000
"""Events that are made before they are fed."""
BEGIN: Final = datetime(2024, 12, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=720)
CURRENCY: Final = "USD"
ENTRIES_PER_WALLET: Final = 100
BUSY: Final = 0.2
"""The share of entries that one wallet has."""
FEW: Final = 10
"""The entries of one wallet."""
VOCABULARY: Final = [f"word{number:05d}" for number in range(20_000)]
"""Everyday words, the first of them the most often."""


class Made:
    """Makes the events of wallets, and remembers what can be asked about them."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._random = random.Random(7)
        self._stream = Stream()
        count_of = max(64, entries // ENTRIES_PER_WALLET)
        self.wallets = [wallet_in(number % SHARDS) for number in range(count_of)]
        self._versions = dict.fromkeys(self.wallets, 1)
        self._posted = dict.fromkeys(self.wallets, 0)
        self._sequences = dict.fromkeys(range(SHARDS), 0)

    @property
    def busy(self) -> UUID:
        """The wallet that has a fifth of all entries."""
        return self.wallets[0]

    @property
    def quiet(self) -> UUID:
        """The wallet that has ten entries, and no copies of them."""
        return self.wallets[1]

    def opened(self) -> Iterator[Envelope]:
        """Yield the openings of all wallets, as of the beginning."""
        for wallet in self.wallets:
            event = self._stream.opened(wallet, owner=self.owner(wallet))
            yield self._placed(event, BEGIN)

    def owner(self, wallet: UUID) -> str:
        """Return whose *wallet* is."""
        return f"owner-{wallet}"

    def posted(self) -> Iterator[Envelope]:
        """Yield one deposit after another, over the whole time."""
        other = Counterparty(wallet_id=None, owner_id=None, system_account=f"external:{CURRENCY}")
        for number in range(self.entries):
            is_busy = self._random.random() < BUSY
            wallet = self.busy if is_busy else self._random.choice(self.wallets[2:])
            if number % (self.entries // FEW) == 0:
                wallet = self.quiet
            self._versions[wallet] += 1
            self._posted[wallet] += 100
            transaction_id, none = new_id(), money(0, CURRENCY)
            posted = money(self._posted[wallet], CURRENCY)
            body = EntryPosted(
                transaction_id=str(transaction_id),
                transaction_type="deposit",
                wallet_id=str(wallet),
                owner_id=self.owner(wallet),
                amount=money(100, CURRENCY),
                balance=Balance(posted=posted, held=none, available=posted),
                counterparty=other,
                private=self._text(number),
            )
            event = Envelope(
                shard=shard_of(wallet),
                sequence=0,
                event_id=new_id(),
                type=events.FUNDS_DEPOSITED.name,
                source="/wallet",
                subject=wallet,
                tenant_id=TENANT,
                time=BEGIN,
                data=msgspec.json.encode(body),
                wallet_version=self._versions[wallet],
                transaction_id=transaction_id,
                entry_index=0,
                entry_count=2,
            )
            yield self._placed(event, BEGIN + SPAN * (number / self.entries))

    def _placed(self, event: Envelope, at: datetime) -> Envelope:
        self._sequences[event.shard] += 1
        return msgspec.structs.replace(event, sequence=self._sequences[event.shard], time=at)

    def _text(self, number: int) -> Private:
        everyday = [VOCABULARY[int(len(VOCABULARY) * self._random.random() ** 4)] for _ in range(3)]
        never_meet = "alpha" if number % 2 else "omega"
        common = "payment" if self._random.random() < 0.4 else "invoice"
        rare = [f"zebra{number}"] if number % 1_000 == 10 else []
        if number == 5:
            rare = ["quagga"]
        return Private(
            key_id=None,
            reference=f"R-{number}",
            description=" ".join([common, never_meet, *everyday, *rare]),
            metadata={"shop": f"s{number % 500}"},
            label=None,
            destination=None,
            reason=None,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Past:
    """A filled history and its API, asked without a network: what is measured is the service."""

    def __init__(self, made: Made, app: Any, admin: asyncpg.Connection, indexed_per_s: float) -> None:
        self.made = made
        self.admin = admin
        self.indexed_per_s = indexed_per_s
        self._app = app

    async def ask(self, path: str, **headers: str) -> Answer:
        """Return the answer to GET *path* below `/v1/history/`."""
        route, _, query = f"/v1/history/{path}".partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": unquote(route),
            "raw_path": route.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (b"host", b"history"),
                *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("history", 80),
            "state": {},
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), body)


@asynccontextmanager
async def past(database: Database, entries: int, times: int) -> AsyncIterator[Past]:
    """Give a history of *entries* events, each there so many *times*, in *database*."""
    made = Made(entries)
    async with AsyncExitStack() as stack:
        ledger, index, app = await stack.enter_async_context(_opened(database))
        indexing_s = 0.0
        openings, postings = list(made.opened()), made.posted()
        portion = openings
        while portion:
            await _fill(ledger, portion)
            began_s = monotonic_s()
            await _fill(index, portion)
            indexing_s += monotonic_s() - began_s
            portion = list(islice(postings, PORTION))
        admin = await asyncpg.connect(database.dsn_admin)
        stack.push_async_callback(admin.close)
        if times > 1:
            await _copy(admin, made, times)
        await admin.execute("vacuum analyze", timeout=3_600)
        yield Past(made, app, admin, (entries + len(openings)) / indexing_s)


async def _fill(processor: Processor, made: Sequence[Envelope]) -> None:
    """Feed *made* to a projection, a poll at a time."""
    for begin in range(0, len(made), POLL):
        assert not await processor.process([received(event, event.sequence) for event in made[begin : begin + POLL]])


async def _copy(admin: asyncpg.Connection, made: Made, times: int) -> None:
    """Have each entry *times* in all, the copies minutes apart."""
    changed = {
        "event_id": "uuidv7()",
        "version": "version + n * 10000000",
        "occurred_at": "occurred_at + n * interval '7 min'",
    }
    for table, columns in (
        ("transaction_history.entry", columns_of(EntryRow)),
        ("history_index.search_entry", SearchRow.__struct_fields__),
    ):
        selected = ", ".join(changed.get(column, column) for column in columns)
        await admin.execute(
            f"""insert into {table} ({", ".join(columns)})
                select {selected} from {table}, generate_series(1, {times - 1}) as n
                where version < 10000000 and wallet_id <> $1""",
            made.quiet,
            timeout=3_600,
        )


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[tuple[Processor, Processor, Any]]:
    """Give both projections and the API over *database*."""
    settings = HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        transaction_history_search_segment=Segment.MONTH,
    )
    telemetry = Telemetry("transaction_history", "api", "1", CollectorRegistry(), Tracing("bench", 0.0))
    metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "bench")
    async with (
        await open_pool(settings.rebuilding) as pool,
        bootstrap.open_api(settings, telemetry, authority=AdmitsAs(principal_of())) as app,
    ):
        ledger = Processor(bootstrap.make_projection(settings), pool, metrics)
        yield ledger, Processor(bootstrap.make_index_projection(settings), pool, metrics), app
