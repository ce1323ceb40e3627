"""What operators order of jobs: run now, pause, resume; and what they are shown."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
import typer
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from servicekit.maintenance import Job, JobRun, Maintenance, operations
from servicekit.maintenance.commands import add_maintenance
from servicekit.maintenance.operations import JobError
from testkit.databases import Database
from testkit.waiting import eventually

pytestmark = pytest.mark.integration
HOUR_S = 3_600.0


@pytest.fixture
async def session(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the app role."""
    connection = await asyncpg.connect(database.dsn_app)
    yield connection
    await connection.close()


class Counting:
    """A job that counts its runs, and fails where it is told to."""

    def __init__(self, **of_job: object) -> None:
        self.runs = 0
        self.fails = False
        self.job = Job(**{"name": "counting", "interval_s": HOUR_S, "run": self._run, **of_job})  # type: ignore[arg-type]  # what a test says of the job

    async def _run(self, _: JobRun) -> int:
        self.runs += 1
        if self.fails:
            raise ValueError("a bug")
        return 7

    def runs_are(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def are() -> bool:
            return self.runs == count

        return are


def maintenance_of(database: Database, *jobs: Job, registry: CollectorRegistry | None = None) -> Maintenance:
    return Maintenance(
        jobs, dsn=database.dsn_app, application="test", owner="host:1#id", registry=registry or CollectorRegistry()
    )


@pytest.mark.parametrize("has_leader", [False, True])
async def test_a_job_runs_when_it_is_asked_for(
    database: Database, session: asyncpg.Connection, *, has_leader: bool
) -> None:
    counting = Counting(has_leader=has_leader)
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        ran = await operations.run(session, "counting", "anna", within_s=30)
        [status] = await operations.status(session)

    assert (counting.runs, ran) == (2, ("done", 7, None))
    assert (status.outcome, status.rows, status.asked_by, status.instance) == ("done", 7, "anna", "host:1")
    assert status.leader == ("host:1" if has_leader else None)


async def test_a_run_that_fails_is_told_by_the_class_of_its_error(
    database: Database, session: asyncpg.Connection
) -> None:
    counting = Counting()
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        counting.fails = True
        ran = await operations.run(session, "counting", "anna", within_s=30)

    assert ran == ("failed", 0, "ValueError")


async def test_a_paused_job_rests_until_it_is_resumed(database: Database, session: asyncpg.Connection) -> None:
    counting, other = Counting(), Counting(name="other")
    registry = CollectorRegistry()
    maintenance = maintenance_of(database, counting.job, other.job, registry=registry)

    async def is_paused() -> bool:
        return registry.get_sample_value("maintenance_paused", {"job": "counting"}) == 1

    async with maintenance.running():
        await eventually(counting.runs_are(1))
        await operations.pause(session, "counting", "anna")
        await eventually(is_paused)
        check = (await maintenance.check())["maintenance"]
        with pytest.raises(JobError, match="is paused by anna: `maintenance resume counting` first"):
            await operations.run(session, "counting", "bert", within_s=1)
        with pytest.raises(JobError, match="is paused by anna already"):
            await operations.pause(session, "counting", "bert")
        assert counting.runs == 1
        await operations.resume(session, "counting")
        await eventually(counting.runs_are(2))

    assert (check.ok, check.detail) == (True, "none late; paused: counting")
    assert registry.get_sample_value("maintenance_paused", {"job": "counting"}) == 0
    assert registry.get_sample_value("maintenance_paused", {"job": "other"}) == 0


async def test_a_pause_outlasts_the_process(database: Database, session: asyncpg.Connection) -> None:
    counting, other = Counting(), Counting(name="other")
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
    await operations.pause(session, "counting", "anna")
    async with maintenance_of(database, counting.job, other.job).running():
        await eventually(other.runs_are(1))
        await operations.run(session, "other", "anna", within_s=30)

    assert counting.runs == 1


async def test_orders_are_followed_after_the_session_that_listened_was_ended(
    database: Database, session: asyncpg.Connection
) -> None:
    counting = Counting()
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test-orders'"
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        assert len(await session.fetch(ended)) == 1
        ran = await operations.run(session, "counting", "anna", within_s=30)

    assert ran.outcome == "done"


async def test_a_job_that_must_not_stop_is_not_paused(database: Database, session: asyncpg.Connection) -> None:
    counting = Counting(may_pause=False)
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        with pytest.raises(JobError, match="may not be paused"):
            await operations.pause(session, "counting", "anna")

        assert (await operations.status(session))[0].paused_by is None


async def test_an_order_for_a_job_that_there_is_not_changes_nothing(
    database: Database, session: asyncpg.Connection
) -> None:
    with pytest.raises(JobError, match="none has run yet"):
        await operations.run(session, "nothing", "anna", within_s=1)
    counting = Counting()
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        for order in (operations.run(session, "nothing", "anna", within_s=1), operations.resume(session, "nothing")):
            with pytest.raises(JobError, match="There is no job 'nothing': there are counting"):
                await order
        with pytest.raises(JobError, match="is not paused"):
            await operations.resume(session, "counting")


async def test_a_run_that_nobody_does_is_told(database: Database, session: asyncpg.Connection) -> None:
    counting = Counting()
    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))

    with pytest.raises(JobError, match=r"has not run within 0\.2 s"):
        await operations.run(session, "counting", "anna", within_s=0.2)


async def test_the_commands_say_what_they_did(database: Database) -> None:
    counting = Counting(has_leader=True)
    cli = typer.Typer()
    add_maintenance(cli, lambda: database.dsn_app)

    async def call(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, cli, ["maintenance", *words])
        # What the process logs meanwhile is captured with it.
        lines = [line for line in result.output.splitlines() if not line.startswith("event=")]
        return result.exit_code, "\n".join(lines)

    async with maintenance_of(database, counting.job).running():
        await eventually(counting.runs_are(1))
        assert await call("run", "counting") == (0, "counting: done, 7 rows")
        assert await call("pause", "counting", "--operator", "anna") == (0, "counting is paused")
        code, told = await call("run", "counting")
        assert (code, told.count("\n")) == (1, 0)
        code, table = await call("status")
        assert code == 0
        assert all(word in table for word in ("counting", "3600", "host:1", "done", "anna"))
        [shown] = json.loads((await call("status", "--json"))[1])
        assert (shown["name"], shown["paused_by"]) == ("counting", "anna")
        assert await call("resume", "counting") == (0, "counting is resumed")


def test_commands_without_a_database_say_so() -> None:
    cli = typer.Typer()
    add_maintenance(cli, lambda: "postgresql://nobody@127.0.0.1:1/nothing")

    result = CliRunner().invoke(cli, ["maintenance", "status"])

    assert (result.exit_code, result.output) == (1, "The database cannot be reached.\n")


def test_the_process_runs_where_no_command_is_given() -> None:
    ran: list[str] = []
    cli = typer.Typer()
    add_maintenance(cli, lambda: "", process=lambda: ran.append("process"))

    assert CliRunner().invoke(cli, ["maintenance"]).exit_code == 0
    assert CliRunner().invoke(cli, ["maintenance", "run", "--help"]).exit_code == 0
    assert ran == ["process"]
