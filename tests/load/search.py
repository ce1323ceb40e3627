"""How fast entries are indexed and found again, by how many there are: `python -m tests.load.search --times 10`.

Both projections are fed true events, spread over 24 months, whose rows may be copied some times; then readers ask the
API, each kind of question for itself. The figures are printed: events a second of the indexer alone, rows and bytes of
the index, and p50 and p99 of each kind.
"""

import argparse
import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Final
from urllib.parse import quote
from uuid import UUID

import asyncpg
import httpx2
import msgspec
from prometheus_client import CollectorRegistry
from tests.load.database import history_template, run_folder

from contracts import events
from contracts.envelope import Envelope
from contracts.events import Balance, Counterparty, EntryPosted, Private
from contracts.ids import SHARDS, new_id, shard_of
from contracts.money import money
from engines import temporary
from engines.postgres import VOLATILE
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

ASKED: Final = 200
"""Requests of each kind."""
POLL: Final = 5_000
BEGIN: Final = datetime(2024, 12, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=720)
CURRENCY: Final = "USD"
ENTRIES_PER_WALLET: Final = 100
BUSY: Final = 0.2
"""The share of entries that one wallet has."""
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
            wallet = self.wallets[0] if is_busy else self._random.choice(self.wallets[1:])
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


def questions(made: Made) -> Mapping[str, str]:
    """Return what is asked, by its kind."""
    some = made.owner(made.wallets[1])
    return {
        "rare word": "quagga alpha",
        "rare of this month": f"zebra{(made.entries - 1_000) // 1_000 * 1_000 + 10} invoice",
        "common word": "payment alpha",
        "prefix": "zeb",
        "two that never meet": "alpha omega.",
        "everyday word": f"{VOCABULARY[2_000]} payment",
        "none found": "nothing-of-this-kind alpha",
        "reference": f"reference:R-{made.entries // 3}",
        "own scope, common": f"owner:{some} payment",
        "own scope, never meet": f"owner:{some} alpha omega.",
        "busy wallet, never meet": f"wallet:{made.wallets[0]} alpha omega.",
    }


async def fill(processor: Processor, made: Sequence[Envelope]) -> None:
    """Feed *made* to a projection, a poll at a time."""
    for begin in range(0, len(made), POLL):
        assert not await processor.process([received(event, event.sequence) for event in made[begin : begin + POLL]])


async def copy(admin: asyncpg.Connection, times: int) -> None:
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
                select {selected} from {table}, generate_series(1, {times - 1}) as n where version < 10000000""",
            timeout=3_600,
        )


async def asked(client: httpx2.AsyncClient, query: str, readers: int) -> tuple[list[float], int, bool]:
    """Have *readers* ask; return what each request took, how many entries came, and whether there was more."""
    took_s: list[float] = []
    numbers = count()

    async def read() -> httpx2.Response:
        while next(numbers) < ASKED:
            began_s = monotonic_s()
            answer = await client.get(f"/v1/history/search?limit=50&q={quote(query)}")
            took_s.append(monotonic_s() - began_s)
            assert answer.status_code == 200, answer.text
        return answer

    answer = (await asyncio.gather(*(read() for _ in range(readers))))[0].json()
    return sorted(took_s), len(answer["data"]), answer["next_cursor"] is not None


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[Processor, Processor, httpx2.AsyncClient]]:
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
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://history", timeout=60) as client,
    ):
        ledger = Processor(bootstrap.make_projection(settings), pool, metrics)
        yield ledger, Processor(bootstrap.make_index_projection(settings), pool, metrics), client


async def measure(entries: int, times: int, readers: int) -> None:
    """Fill a database and print what was measured."""
    made = Made(entries)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(run_folder())
        server = stack.enter_context(temporary.running_postgres(folder, settings={**VOLATILE, "shared_buffers": "2GB"}))
        database = await stack.enter_async_context(history_template(server).database())
        ledger, index, client = await stack.enter_async_context(opened(database))
        indexing_s = 0.0
        openings, postings = list(made.opened()), made.posted()
        portion = openings
        while portion:
            await fill(ledger, portion)
            began_s = monotonic_s()
            await fill(index, portion)
            indexing_s += monotonic_s() - began_s
            portion = list(islice(postings, 50_000))
        admin = await asyncpg.connect(database.dsn_admin)
        await copy(admin, times)
        await admin.execute("vacuum analyze", timeout=3_600)
        told = await admin.fetchrow(
            """select count(*), (select sum(pg_total_relation_size(c.oid)) from pg_class c
                                 where relname ~ '^search_entry_2' and relkind = 'r'),
                      avg(cardinality(terms)) from history_index.search_entry"""
        )
        assert told is not None
        rows, size, per_entry = told
        print(
            f"{entries} entries: {(entries + len(openings)) / indexing_s:,.0f} events/s indexed; {rows:,} rows of"
            f" {size / rows:.0f} bytes, {per_entry:.1f} terms each",
            flush=True,
        )
        for kind, query in questions(made).items():
            await asked(client, query, readers)
            took_s, found, has_more = await asked(client, query, readers)
            p50, p99 = took_s[len(took_s) // 2] * 1e3, took_s[int(len(took_s) * 0.99)] * 1e3
            print(
                f"  {kind:26} p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, {found} found{', more' if has_more else ''}",
                flush=True,
            )
        await admin.close()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="how many entries are made by events")
    parser.add_argument("--times", type=int, default=1, help="how many times each is there in the end")
    parser.add_argument("--readers", type=int, default=16, help="how many ask at once")
    given = parser.parse_args()
    asyncio.run(measure(given.entries, given.times, given.readers))


if __name__ == "__main__":
    main()
