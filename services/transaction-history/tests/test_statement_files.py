"""Files of statements: the queue, what becomes of attempts, and the lines of volumes."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.tenant_pool import TenantPool
from testkit.access import TENANT, principal_of
from testkit.databases import Database
from testkit.events import EPOCH, wallet_in
from testkit.read_api import ReadApi
from testkit.running import running
from testkit.waiting import eventually
from testkit.watermarks import complete
from transaction_history.domain.closing import FileFormat, Statement
from transaction_history.domain.jobs import ATTEMPTS_MAX, JobStatus, Reason
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.statement import StatementLine
from transaction_history.jobs.objects import Objects, ObjectsUnavailable
from transaction_history.statements.commands import StatementCommands
from transaction_history.statements.files_postgres import (
    ASKED_MAX,
    DIFFERENCE,
    TAKEN_MAX,
    FileQueue,
    LeaseGone,
    MadeFile,
    StatementFile,
    TakenFile,
    ask,
)
from transaction_history.statements.lines_postgres import LineReader
from transaction_history.statements.making import StatementMaker
from transaction_history.statements.metrics import StatementMetrics
from transaction_history.statements.queries import StatementQueries, Told
from transaction_history.statements.renderer import FileKeeping, Renderer

pytestmark = pytest.mark.integration

TO = datetime(2026, 2, 1, tzinfo=UTC)
_ANOTHERS = """
    insert into history_jobs.statement
    select (jsonb_populate_record(s, n.changed)).*
    from history_jobs.statement s,
         jsonb_build_object('id', $2::uuid, 'wallet_id', $2::uuid, 'tenant_id', $3::uuid) as n (changed)
    where s.id = $1"""
_QUEUED = """
    insert into history_jobs.statement_file (statement_id, issue, format, volume, tenant_id, status, due_at)
    select $1, 1, 'pdf', n, $2, 'queued', now() from generate_series(2, 1 + $3::int) as n"""


class Bench:
    """A statement of some entries, and what makes its files."""

    def __init__(self, pool: Pool, tenants: TenantPool, folder: Path, statement: Statement) -> None:
        self.pool = pool
        self.statement = statement
        self.objects = Objects(str(folder / "objects"), {})
        self.folder = folder / "objects"
        self.registry = CollectorRegistry()
        self.queue = FileQueue(pool, kept_days=7)
        self.reader = LineReader(tenants, ClearText())
        self.maker = StatementMaker(self.reader, self.objects)
        self.renderer = Renderer(self.queue, self.maker, StatementMetrics(self.registry), drain_s=1.0)
        self.queries = StatementQueries(tenants)

    async def ask(self, kind: FileFormat = FileFormat.CSV, volume: int = 1) -> bool:
        async with self.pool.transaction() as tx:
            return await ask(tx, self.statement, 1, kind, volume)

    async def file(self, kind: FileFormat = FileFormat.CSV) -> StatementFile:
        found = await self.queries.file(self.statement, 1, kind, 1)
        assert found is not None
        return found

    async def made(self, kind: FileFormat = FileFormat.CSV) -> StatementFile:
        """Return a file that was asked for when nothing more becomes of it."""
        found: list[StatementFile] = []

        async def has_ended() -> bool:
            found[:] = [await self.file(kind)]
            return found[0].status not in (JobStatus.QUEUED, JobStatus.RUNNING)

        async with running(self.renderer):
            await eventually(has_ended)
        return found[0]

    async def execute(self, statement: str, *values: object) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement, *values)

    async def clear(self) -> int:
        """Have the time of every file be over."""
        await self.execute("update history_jobs.statement_file set expires_at = now() - interval '1 s'")
        async with self.pool.connection() as connection:
            return await FileKeeping(self.objects).clear(JobRun(connection, None))

    async def make(self, taken: TakenFile) -> MadeFile:
        with ThreadPoolExecutor(max_workers=1) as threads:
            return await self.maker.make(taken, threads)

    async def taken(self) -> TakenFile:
        (taken,) = await self.queue.take()
        return taken

    async def lines(self, after: int, upto: int) -> Sequence[StatementLine]:
        return [line async for chunk in self.reader.chunks(self.statement, after, upto) for line in chunk]

    def kept(self) -> Sequence[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def counted(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
async def tenants(database: Database) -> Any:
    async with await open_pool(PoolSettings(dsn=database.dsn_reader, application_name="test")) as pool:
        yield TenantPool(pool)


@pytest.fixture
async def files(bench: ReadApi, pool: Pool, tenants: TenantPool, tmp_path: Path) -> Bench:
    wallet, stream = wallet_in(3), bench.stream
    await bench.project(stream.opened(wallet), *stream.deposit(wallet, 1_000))
    async with pool.connection() as connection:
        await complete(connection, TO + timedelta(days=90))
    first = await _closed(pool, wallet, EPOCH + timedelta(seconds=6))
    events = [event for _ in range(3) for event in (*stream.deposit(wallet, 50), stream.fee(wallet, 7))]
    await bench.project(*events, *stream.held(wallet, wallet_in(5))[:1])
    second = await _closed(pool, wallet, TO)
    assert (first.number, second.number) == (1, 2)
    return Bench(pool, tenants, tmp_path, second)


async def _closed(pool: Pool, wallet: UUID, to: datetime) -> Statement:
    async with pool.transaction() as tx:
        told = await StatementCommands().close(tx, principal_of(), wallet, to)
    assert isinstance(told, Told)
    return told.statement


async def test_the_lines_of_volumes_are_those_of_the_whole(files: Bench) -> None:
    whole = await files.lines(0, 99)

    assert [(line.amount, line.fee, line.balance_after) for line in whole] == [
        (50, 0, 1_050),
        (-7, 7, 1_043),
        (50, 0, 1_093),
        (-7, 7, 1_086),
        (50, 0, 1_136),
        (-7, 7, 1_129),
    ]
    assert [(line.version, line.counterparty, line.description) for line in whole[:2]] == [
        (files.statement.first_version, "external:USD", "A thing"),
        (files.statement.first_version + 1, "fees:USD", "A thing"),
    ]
    for begin in range(len(whole) + 1):
        for end in range(begin, len(whole) + 1):
            assert await files.lines(begin, end) == whole[begin:end], (begin, end)


@pytest.mark.parametrize("kind", FileFormat)
async def test_a_file_that_is_made_again_is_the_same_and_its_hash_stays(files: Bench, kind: FileFormat) -> None:
    await files.ask(kind)
    first = await files.made(kind)
    cleared = await files.clear()
    expired, kept = await files.file(kind), files.kept()
    await files.ask(kind)
    again = await files.made(kind)

    assert (first.status, cleared, list(kept)) == (JobStatus.SUCCEEDED, 1, [])
    assert (expired.status, expired.object, expired.sha256) == (JobStatus.EXPIRED, None, first.sha256)
    assert (again.status, again.sha256, again.size_bytes) == (JobStatus.SUCCEEDED, first.sha256, first.size_bytes)
    assert again.object != first.object


async def test_a_file_that_differs_is_counted_and_never_served(files: Bench) -> None:
    await files.ask()
    await files.made()
    await files.clear()
    await files.execute("update history_jobs.statement_file set sha256 = decode(repeat('00', 32), 'hex')")
    await files.ask()
    found = await files.made()
    await files.ask()

    assert (found.status, found.failure, found.object) == (JobStatus.FAILED, DIFFERENCE, None)
    assert (await files.file()).status is JobStatus.FAILED, "it is not made again"
    assert files.counted("history_statement_differences_total") == 1
    assert files.counted("history_statement_files_total", format="csv", outcome="differs") == 1


async def test_a_file_of_another_template_may_differ(files: Bench) -> None:
    await files.ask()
    first = await files.made()
    await files.clear()
    await files.execute(
        "update history_jobs.statement_file set sha256 = decode('00', 'hex'), template_version = template_version - 1"
    )
    await files.ask()

    assert (await files.made()).sha256 == first.sha256
    assert files.counted("history_statement_differences_total") == 0


async def test_a_store_that_refuses_is_tried_again_and_given_up_at_last(
    files: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise ObjectsUnavailable("full")

    monkeypatch.setattr(Objects, "put", refuse)
    await files.ask()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        await files.execute("update history_jobs.statement_file set due_at = now()")
        taken = await files.taken()
        with pytest.raises(ObjectsUnavailable):
            await files.make(taken)
        await files.queue.fail(taken, Reason.OBJECTS)
        assert (await files.file()).attempts == attempt
    failed = await files.file()
    monkeypatch.undo()
    await files.ask()

    assert (failed.status, failed.failure) == (JobStatus.FAILED, "object_store")
    assert (await files.made()).status is JobStatus.SUCCEEDED


async def test_who_lost_a_file_writes_nothing(files: Bench) -> None:
    await files.ask()
    late = await files.taken()
    await files.execute("update history_jobs.statement_file set leased_until = now() - interval '1 s'")
    taken = await files.taken()
    made = await files.make(late)

    for write in (
        files.queue.succeed(late, made),
        files.queue.fail(late, Reason.BUG),
        files.queue.refuse(late),
        files.queue.give_back(late),
    ):
        with pytest.raises(LeaseGone):
            await write
    await files.queue.succeed(taken, await files.make(taken))
    assert (await files.file()).status is JobStatus.SUCCEEDED
    assert await files.clear() == 1
    assert list(files.kept()) == [], "what both made is deleted"


async def test_a_file_whose_workers_die_again_and_again_fails(files: Bench) -> None:
    await files.ask()
    for _ in range(ATTEMPTS_MAX):
        assert len(await files.queue.take()) == 1
        await files.execute("update history_jobs.statement_file set leased_until = now() - interval '1 s'")

    assert not await files.queue.take()
    assert (await files.file()).failure == Reason.WORKER_LOST


async def test_tenants_take_turns_and_what_somebody_waits_for_is_first(files: Bench) -> None:
    other, theirs = UUID(int=2), new_id()
    await files.execute(_ANOTHERS, files.statement.id, theirs, other)
    for statement, tenant, count in ((files.statement.id, TENANT, 9), (theirs, other, 5)):
        await files.execute(_QUEUED, statement, tenant, count)
        await files.execute("insert into history_jobs.statement_tenant values ($1, '-infinity')", tenant)
    await files.ask(FileFormat.PDF)

    taken = [await files.queue.take() for _ in range(5)]

    assert [{each.file.tenant_id for each in some} for some in taken] == [{other}, {TENANT}] * 2 + [{TENANT}]
    assert [len(some) for some in taken] == [TAKEN_MAX, TAKEN_MAX, 1, TAKEN_MAX, 2]
    assert 1 in [each.file.volume for each in taken[1]], "somebody waits for it"
    assert not await files.queue.take()


async def test_so_many_files_are_waited_for_and_no_more(files: Bench) -> None:
    asked = [await files.ask(FileFormat.PDF, volume) for volume in range(1, ASKED_MAX + 2)]

    assert asked == [True] * ASKED_MAX + [False]


async def test_a_renderer_that_ends_gives_back_what_it_has_not_made(
    files: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()

    async def stand(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Objects, "put", stand)
    await files.ask()
    await files.ask(FileFormat.PDF)
    shutdown = Shutdown()
    work = asyncio.create_task(files.renderer.run(shutdown))
    await entered.wait()
    shutdown.request()
    await work

    found = [await files.file(kind) for kind in FileFormat]
    assert [(file.status, file.attempts) for file in found] == [(JobStatus.QUEUED, 0)] * 2
    monkeypatch.undo()
    assert (await files.made()).status is JobStatus.SUCCEEDED
