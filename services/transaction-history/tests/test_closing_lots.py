"""Closing over real tables: lots, workers side by side, and what is killed on the way."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import Stream, wallet_in
from testkit.read_api import ReadApi
from testkit.watermarks import complete
from transaction_history.domain.closing import FileFormat, Locale, Statement, Terms
from transaction_history.domain.periods import Schedule
from transaction_history.statements.accounts_postgres import Enrolling, first_id
from transaction_history.statements.closing_postgres import BOUNDS, Bounds, Closing
from transaction_history.statements.commands import StatementCommands
from transaction_history.statements.looking_postgres import BY_KEYS, DUE
from transaction_history.statements.metrics import StatementMetrics
from transaction_history.statements.queries import OF_TENANT
from transaction_history.statements.rows import COLUMNS, statement_of

pytestmark = pytest.mark.integration

FEBRUARY, MARCH, APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4))
MONTHLY = Terms(
    setting_id=None,
    time_zone="UTC",
    locale=Locale.EN,
    schedule=Schedule.MONTHLY,
    formats=(FileFormat.CSV, FileFormat.PDF),
)


class Bench:
    """A ledger whose wallets are closed."""

    def __init__(self, pool: Pool, api: ReadApi) -> None:
        self.pool = pool
        self.api = api
        self.stream: Stream = api.stream
        self.registry = CollectorRegistry()
        self.metrics = StatementMetrics(self.registry)

    async def happened(self, *events: Envelope) -> None:
        await self.api.project(*events)

    async def say(self, terms: Terms, owner_id: str = OF_TENANT) -> None:
        async with self.pool.transaction() as tx:
            await StatementCommands().put_setting(tx, principal_of(), owner_id, terms)

    async def enrolled(self) -> None:
        async with self.pool.connection() as connection:
            await Enrolling().enrol(JobRun(connection, None))

    async def complete(self, until: datetime) -> None:
        async with self.pool.connection() as connection:
            await complete(connection, until + timedelta(seconds=80))

    async def close(self, *, bounds: Bounds = BOUNDS) -> int:
        """Close what is due, lot after lot; return how many lots that were."""
        closing, lots = Closing(self.metrics, bounds=bounds), 0
        async with self.pool.connection() as connection:
            while await closing.close_due(JobRun(connection, None)):
                lots += 1
        return lots

    async def closed_at(self, until: datetime, *, bounds: Bounds = BOUNDS) -> None:
        await self.complete(until)
        await self.close(bounds=bounds)

    async def statements(self, wallet: UUID | None = None) -> Sequence[Statement]:
        query = f"""select {", ".join(COLUMNS)} from history_jobs.statement
                    where $1::uuid is null or wallet_id = $1 order by wallet_id, number"""
        async with self.pool.connection() as connection:
            return [statement_of(tuple(row)) for row in await connection.fetch(query, wallet)]

    async def value(self, query: str, *values: object) -> Any:
        async with self.pool.connection() as connection:
            return await connection.fetchval(query, *values)

    def wallets(self, count: int) -> tuple[list[UUID], list[Envelope]]:
        """Return wallets in as many shards, and their openings and deposits."""
        wallets = [wallet_in(number % 5) for number in range(count)]
        events = []
        for wallet in wallets:
            events += [self.stream.opened(wallet), *self.stream.deposit(wallet, 1_000)]
        return wallets, events


@pytest.fixture
def bench(pool: Pool, bench: ReadApi) -> Bench:
    return Bench(pool, bench)


def assert_joined(statements: Sequence[Statement]) -> None:
    """See one wallet's statements follow each other without a gap."""
    assert [each.number for each in statements] == list(range(1, len(statements) + 1))
    for before, after in pairwise(statements):
        assert (after.opening, after.from_instant) == (before.closing, before.to_instant)
        assert after.first_version == before.last_version + 1


async def test_workers_side_by_side_close_each_wallet_once(bench: Bench) -> None:
    wallets, events = bench.wallets(30)
    await bench.happened(*events)
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.complete(MARCH)

    few = Bounds(wallets=4)
    lots = await asyncio.gather(*(bench.close(bounds=few) for _ in range(3)))

    for wallet in wallets:
        statements = await bench.statements(wallet)
        assert [each.to_instant for each in statements] == [FEBRUARY, MARCH]
        assert_joined(statements)
    assert sum(lots) >= 2 * len(wallets) / few.wallets
    assert await bench.value("select count(*) from servicekit.outbox where type = 42") == 2 * len(wallets)


class Killed(Exception):
    """The worker is gone."""


class Dying:
    """A connection whose worker is killed before its *statements*th statement."""

    def __init__(self, connection: Any, statements: int) -> None:
        self._connection = connection
        self.left = statements

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in ("execute", "fetch", "fetchrow", "fetchval"):
            return found

        async def asked(*values: Any) -> Any:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return await found(*values)

        return asked


async def test_a_worker_that_is_killed_between_any_two_statements_leaves_nothing_half_done(bench: Bench) -> None:
    wallets, events = bench.wallets(3)
    await bench.happened(*events, *bench.stream.held(wallets[0], wallets[1])[:2])
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.complete(FEBRUARY)

    killed = 0
    while True:
        async with bench.pool.connection() as connection:
            dying: Any = Dying(connection, killed)
            try:
                await Closing(bench.metrics).close_due(JobRun(dying, None))
            except Killed:
                assert not await bench.statements()
                assert await bench.value("select count(*) from history_jobs.statement_file") == 0
                assert await bench.value("select count(*) from servicekit.outbox where type = 42") == 0
                killed += 1
            else:
                break

    assert killed > 8
    await bench.close()
    statements = await bench.statements()
    assert sorted(each.wallet_id for each in statements) == sorted(wallets)
    assert [each.number for each in statements] == [1] * 3
    assert await bench.value("select count(*) from servicekit.outbox where type = 42") == 3


async def test_what_is_due_is_found_by_an_index(bench: Bench) -> None:
    await bench.say(MONTHLY)
    await bench.happened(*bench.wallets(5)[1])
    await bench.enrolled()

    async with bench.pool.transaction() as tx:
        await tx.connection.execute(BY_KEYS)
        rows = await tx.connection.fetch(f"explain (costs off) {DUE}", [1], [MARCH], 9)
    plan = "\n".join(row[0] for row in rows)

    assert "Index Scan using statement_account_due" in plan
    assert "Seq Scan" not in plan


async def test_what_comes_late_stands_in_the_next_statement_and_is_counted(bench: Bench) -> None:
    (wallet,), events = bench.wallets(1)
    await bench.happened(*events)
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.closed_at(FEBRUARY)

    await bench.happened(*bench.stream.deposit(wallet, 70), bench.stream.fee(wallet, 20))
    await bench.closed_at(MARCH)

    first, second = await bench.statements(wallet)
    assert_joined([first, second])
    assert (first.closing, second.closing, second.entries, second.fees) == (1_000, 1_050, 2, 20)
    assert second.lines_from < second.from_instant
    assert [(each.transaction_type, each.entries, each.credits, each.debits) for each in second.by_type] == [
        ("deposit", 2, 70, 20)
    ]
    assert bench.registry.get_sample_value("history_late_entries_total") == 2
    assert bench.registry.get_sample_value("history_statements_total") == 2


async def test_what_comes_late_after_a_period_without_entries_is_not_forgotten(bench: Bench) -> None:
    wallet = wallet_in(1)
    await bench.happened(bench.stream.opened(wallet))
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.closed_at(FEBRUARY)

    await bench.happened(*bench.stream.deposit(wallet, 70))
    await bench.closed_at(MARCH)

    first, second = await bench.statements(wallet)
    assert_joined([first, second])
    assert (first.entries, second.entries, [each.entries for each in second.by_type]) == (0, 1, [1])
    assert second.lines_from < second.from_instant


async def test_a_changed_zone_and_schedule_go_on_where_the_last_period_ended(bench: Bench) -> None:
    (wallet,), events = bench.wallets(1)
    await bench.happened(*events)
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.closed_at(FEBRUARY)

    changed = Terms(
        setting_id=None, time_zone="Asia/Tokyo", locale=Locale.AR, schedule=Schedule.WEEKLY, formats=(FileFormat.PDF,)
    )
    await bench.say(changed, "owner")
    await bench.closed_at(MARCH)  # the first lot sees that other settings hold

    statements = await bench.statements(wallet)
    assert_joined(statements)
    assert {(each.locale, each.time_zone) for each in statements[1:]} == {(Locale.AR, "Asia/Tokyo")}
    sundays = [datetime(2026, 2, day, 15, tzinfo=UTC) for day in (1, 8, 15, 22)]
    assert [each.to_instant for each in statements] == [FEBRUARY, *sundays]


async def test_a_shorter_schedule_is_noticed_before_the_longer_period_ends(bench: Bench) -> None:
    (wallet,), events = bench.wallets(1)
    await bench.happened(*events)
    await bench.say(Terms(**{**_fields(MONTHLY), "schedule": Schedule.QUARTERLY}))
    await bench.enrolled()
    await bench.say(Terms(**{**_fields(MONTHLY), "schedule": Schedule.WEEKLY}))

    await bench.enrolled()
    await bench.closed_at(datetime(2026, 1, 12, tzinfo=UTC))

    assert [each.to_instant.day for each in await bench.statements(wallet)] == [5, 12]


def _fields(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__}


async def test_wallets_wait_that_are_parked_or_whose_shard_says_nothing(bench: Bench) -> None:
    parked, silent, fine = wallet_in(1), wallet_in(2), wallet_in(3)
    await bench.happened(*(bench.stream.opened(wallet) for wallet in (parked, silent, fine)))
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.complete(FEBRUARY)
    await bench.value(
        """update servicekit.watermark set known_seq = 99, covered_seq = null, covered_at = null where shard = 2"""
    )
    await bench.value(
        """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
           values ('transaction_history', $1, 1, 1, 'a test')""",
        parked,
    )

    await bench.close()
    before = [each.wallet_id for each in await bench.statements()]
    await bench.value("delete from servicekit.parked_subject")
    await bench.closed_at(FEBRUARY)

    assert before == [fine]
    assert sorted(each.wallet_id for each in await bench.statements()) == sorted([parked, silent, fine])


async def test_nothing_is_closed_before_the_ledger_is_complete_a_minute_beyond(bench: Bench) -> None:
    (wallet,), events = bench.wallets(1)
    await bench.happened(*events)
    await bench.say(MONTHLY)
    await bench.enrolled()

    await bench.closed_at(FEBRUARY - timedelta(microseconds=1))
    before = await bench.statements(wallet)
    await bench.closed_at(FEBRUARY)

    assert (len(before), len(await bench.statements(wallet))) == (0, 1)


async def test_a_closed_wallet_gets_its_last_statement_and_then_none(bench: Bench) -> None:
    wallet = wallet_in(7)
    await bench.happened(bench.stream.opened(wallet), bench.stream.closed(wallet))
    await bench.say(MONTHLY)
    await bench.enrolled()

    await bench.closed_at(APRIL)
    await bench.enrolled()
    await bench.closed_at(APRIL + timedelta(days=90))

    (only,) = await bench.statements(wallet)
    assert (only.to_instant, only.entries) == (FEBRUARY, 0)


async def test_new_wallets_are_enrolled_soon_and_all_others_when_settings_change(bench: Bench) -> None:
    enrolling = Enrolling()

    async def enrolled() -> set[UUID]:
        async with bench.pool.connection() as connection:
            await enrolling.enrol(JobRun(connection, None))
            return {row[0] for row in await connection.fetch("select wallet_id from history_jobs.statement_account")}

    old = UUID(int=(first_id(FEBRUARY).int | 7 << 76))  # as one that was parked for long
    first, second = wallet_in(1), wallet_in(2)
    await bench.say(MONTHLY)
    await bench.happened(bench.stream.opened(first))
    found = [await enrolled()]
    await bench.happened(bench.stream.opened(second), bench.stream.opened(old))
    found.append(await enrolled())
    await bench.say(MONTHLY, "somebody-else")
    found.append(await enrolled())

    assert found == [{first}, {first, second}, {first, second, old}]


async def test_without_settings_nothing_is_closed(bench: Bench) -> None:
    _, events = bench.wallets(2)
    await bench.happened(*events)

    await bench.enrolled()
    await bench.closed_at(APRIL)

    assert await bench.value("select count(*) from history_jobs.statement_account") == 0


async def test_open_holds_are_told(bench: Bench) -> None:
    payer, payee = wallet_in(1), wallet_in(2)
    await bench.happened(bench.stream.opened(payer), bench.stream.opened(payee), *bench.stream.deposit(payer, 1_000))
    await bench.happened(*bench.stream.held(payer, payee), *bench.stream.held(payer, payee)[:2])
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.closed_at(FEBRUARY)

    (statement,) = await bench.statements(payer)
    assert [hold.amount for hold in statement.holds] == [11]
    assert statement.holds_left_out == 0
    assert (statement.closing, statement.entries) == (999, 2)


async def test_a_busy_wallets_types_are_added_up_some_at_a_time(bench: Bench) -> None:
    busy, calm = wallet_in(1), wallet_in(2)
    events = [bench.stream.opened(busy), bench.stream.opened(calm), *bench.stream.deposit(busy, 500)]
    for _ in range(9):
        events += bench.stream.transfer(busy, calm)
        events += bench.stream.held(busy, calm)
    await bench.happened(*events)
    await bench.say(MONTHLY)
    await bench.enrolled()
    await bench.complete(FEBRUARY)

    lots = await bench.close(bounds=Bounds(wallets=10, entries=6, summed=3))

    (statement,) = await bench.statements(busy)
    assert {each.transaction_type: (each.entries, each.credits, each.debits) for each in statement.by_type} == {
        "capture": (9, 0, 9),
        "deposit": (1, 500, 0),
        "transfer": (9, 0, 90),
    }
    assert (statement.entries, statement.closing) == (19, 401)
    assert lots > 3
    assert sum(each.entries for each in (await bench.statements(calm))[0].by_type) == 18
