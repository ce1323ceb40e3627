"""A whole stack with real engines and two fake processes, driven as a terminal drives it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
import psutil
import pytest
from aiokafka.errors import KafkaError

from engines import accounts, topics
from engines.ports import free_ports
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

DRIVE = Path(__file__).with_name("drive.py")
PORT_VARIABLES = ("POSTGRES_PORT", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "SAMPLE_RELAY_PORT", "SAMPLE_API_PORT")
NOBODY = 65534
POLL_S = 0.05
UP_WITHIN_S = 90.0

T = TypeVar("T")

Document = dict[str, dict[str, dict[str, str]]]


@pytest.fixture
def environment(run_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Give a stack in a folder of mode 0700, whose home for root's sake lies where PostgreSQL's account may go."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    ports = zip(PORT_VARIABLES, map(str, free_ports(len(PORT_VARIABLES))), strict=True)
    own = {"LOCAL_STACK_STATE": str(closed / "state"), **dict(ports)}
    if os.geteuid() == 0:
        own["LOCAL_STACK_HOME"] = str(run_folder / f"home-{tmp_path.name}")
    outside = ("KAFKA_BOOTSTRAP_SERVERS", "SAMPLE_DATABASE_URL")
    return {**{name: value for name, value in os.environ.items() if name not in outside}, **own}


@contextmanager
def up(environment: dict[str, str], *command: str) -> Iterator[tuple[subprocess.Popen[str], Document]]:
    state = Path(environment["LOCAL_STACK_STATE"])
    process = subprocess.Popen(
        [*(command or (sys.executable,)), str(DRIVE)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while not (state / "stack.json").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "not up in time"
            time.sleep(POLL_S)
        yield process, json.loads((state / "stack.json").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


async def test_it_comes_up_drains_on_sigterm_and_leaves_nothing_behind(environment: dict[str, str]) -> None:
    state = Path(environment["LOCAL_STACK_STATE"])

    with up(environment) as (process, document):
        family = psutil.Process(process.pid).children(recursive=True)
        async with topics.admin_client(str(document["kafka"])) as admin:
            (described,) = await admin.describe_topics(["wallet.events"])

    assert document["services"] == {"sample": {"url": f"http://127.0.0.1:{environment['SAMPLE_API_PORT']}"}}
    assert set(document["processes"]) == {"sample-relay", "sample-api"}
    assert len(described["partitions"]) == 16
    assert process.returncode == 0
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert not (state / "stack.json").exists()
    assert "drained" in (state / "logs" / "sample-api.log").read_text()
    assert state.parent.stat().st_mode & 0o777 == 0o700


async def test_a_restart_keeps_the_data_and_the_addresses(environment: dict[str, str]) -> None:
    with up(environment) as (_, first):
        await execute(str(first["postgres"]["sample"]), "insert into starts values (1)")

    with up(environment) as (_, second):
        rows = await execute(str(second["postgres"]["sample"]), "select n from starts")

    assert second["postgres"] == first["postgres"]
    assert [row["n"] for row in rows] == [1]


async def test_killed_engines_come_back_with_what_they_held(environment: dict[str, str]) -> None:
    with up(environment) as (process, document):
        dsn = str(document["postgres"]["sample"])
        await execute(dsn, "insert into starts values (2)")
        engines = [each for each in psutil.Process(process.pid).children() if each.name() in {"postgres", "java"}]

        for engine in engines:
            engine.kill()
        psutil.wait_procs(engines, timeout=30)

        assert len(engines) == 2
        rows = await as_soon_as_possible(lambda: execute(dsn, "select n from starts"), OSError, asyncpg.PostgresError)
        assert [row["n"] for row in rows] == [2]
        assert "wallet.events" in await as_soon_as_possible(
            lambda: topic_names(str(document["kafka"])), KafkaError, OSError
        )


async def test_replicas_follow_and_are_copied_anew_at_each_start(environment: dict[str, str]) -> None:
    (port,) = free_ports(1)
    replicated = environment | {"POSTGRES_REPLICAS": "1", "POSTGRES_REPLICA_PORT": str(port)}
    primary = f":{environment['POSTGRES_PORT']}/"

    for number in (1, 2):
        with up(replicated) as (_, document):
            dsn = str(document["postgres"]["sample"])
            await execute(dsn, f"insert into starts values ({number})")

            async def followed(address: str = dsn.replace(primary, f":{port}/"), most: int = number) -> bool:
                rows = await execute(address, "select n, pg_is_in_recovery() as is_replica from starts")
                return max((row["n"] for row in rows if row["is_replica"]), default=0) == most

            await eventually(followed)


def test_a_second_one_is_told_that_one_runs(environment: dict[str, str]) -> None:
    with up(environment) as (process, _):
        second = subprocess.run(
            [sys.executable, str(DRIVE)], env=environment, capture_output=True, text=True, check=False
        )

    assert second.returncode == 1
    assert f"a stack runs already (pid {process.pid})" in second.stderr


def test_when_it_is_killed_its_children_end_too(environment: dict[str, str]) -> None:
    with up(environment) as (process, _):
        family = psutil.Process(process.pid).children(recursive=True)

        process.kill()
        process.wait()

        _, alive = psutil.wait_procs(family, timeout=30)
    assert [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; others are not root already")
def test_an_ordinary_user_can_run_it(environment: dict[str, str], run_folder: Path, tmp_path: Path) -> None:
    python = python_for_everybody()
    if python is None:
        pytest.skip("an ordinary user can reach neither the checkout nor a Python of this version")
    home = run_folder / f"user-{tmp_path.name}"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    environment.pop("LOCAL_STACK_HOME")
    environment |= {
        "LOCAL_STACK_STATE": str(home / "state"),
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", python)
    with up(environment, *become) as (_, document):
        owner = (home / "state" / "data" / "postgres" / "data").stat().st_uid

    assert owner == NOBODY
    assert "sample-api" in document["processes"]


def python_for_everybody() -> str | None:
    """Return a Python of this version that any user can run, ours or the system's."""
    everybody = accounts.Account(NOBODY, NOBODY)
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, system):
        resolved = Path(candidate).resolve()
        if resolved.exists() and all(accounts.can_enter(everybody, each.parent) for each in (DRIVE, resolved)):
            return candidate
    return None


async def execute(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def topic_names(bootstrap_servers: str) -> list[str]:
    async with topics.admin_client(bootstrap_servers) as admin:
        return list(await admin.list_topics())


async def as_soon_as_possible(ask: Callable[[], Awaitable[T]], *not_yet: type[Exception]) -> T:
    """Return the first answer that is none of the errors in *not_yet*."""
    async with asyncio.timeout(UP_WITHIN_S):
        while True:
            try:
                return await ask()
            except not_yet:
                await asyncio.sleep(POLL_S)
