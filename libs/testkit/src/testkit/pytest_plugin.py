"""Fixtures for every test of the repository: one PostgreSQL and one broker per process, started when first asked for.

`TEST_POSTGRES_URL` (a superuser's address) and `KAFKA_BOOTSTRAP_SERVERS` name engines from outside;
`TESTKIT_ENGINE=docker` takes both from a Docker engine. Otherwise they are processes of this run on free ports, in a
folder of its own, so that two runs at once never meet.
"""

import faulthandler
import os
import secrets
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

from engines import accounts, temporary
from engines.kafka import KafkaBroker
from engines.postgres import VOLATILE, PostgresServer
from testkit import containers, topics
from testkit.databases import Server

pytest_plugins = ("testkit.database_fixtures",)

FAILURE_CHARACTERS = 3_000
TEARDOWN_S = 120
# The run's own, which pytest puts aside while a test runs.
STDERR = os.dup(sys.__stderr__.fileno()) if sys.__stderr__ else 2

# Whatever else the machine does meanwhile is not a finding: the whole test has its timeout. A run draws the same
# examples as the one before, so that a red one is of the change; `--hypothesis-profile searching` draws new ones.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("searching", deadline=None)
hypothesis.settings.load_profile("repeatable")


class MakeTopic(Protocol):
    """Makes a uniquely named topic that is deleted when the test ends."""

    async def __call__(self, partitions: int = 1, *, configs: dict[str, str] | None = None) -> str:
        """Make it, wait for its leaders, and return its name."""


@pytest.fixture(scope="session")
def run_folder() -> Iterator[Path]:
    """Give this run's folder, where PostgreSQL's account may go too."""
    with temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give the run's PostgreSQL. It does not fsync: a test of crashes asks for `own_postgres`."""
    given = os.environ.get("TEST_POSTGRES_URL")
    with ExitStack() as stack:
        if given:
            yield Server(given)
        elif containers.are_wanted():
            yield Server(stack.enter_context(containers.running_postgres()))
        else:
            folder: Path = request.getfixturevalue("run_folder")
            server = stack.enter_context(temporary.running_postgres(folder, settings=VOLATILE))
            yield Server(server.admin_dsn)


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the address of the run's broker."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    with ExitStack() as stack:
        if given:
            yield given
        elif containers.are_wanted():
            yield stack.enter_context(containers.running_kafka())
        else:
            folder: Path = request.getfixturevalue("run_folder")
            yield stack.enter_context(temporary.running_kafka(folder)).bootstrap_servers


@pytest.fixture
async def make_topic(kafka_bootstrap: str) -> AsyncIterator[MakeTopic]:
    """Give a maker of topics for this test alone."""
    async with AsyncExitStack() as stack:

        async def make(partitions: int = 1, *, configs: dict[str, str] | None = None) -> str:
            return await stack.enter_async_context(topics.temporary_topic(kafka_bootstrap, partitions, configs))

        yield make


@pytest.fixture
def own_postgres(run_folder: Path) -> Iterator[PostgresServer]:
    """Give a durable server for this test alone, to be killed, paused and started again."""
    with temporary.running_postgres(run_folder, name=f"postgres-{secrets.token_hex(4)}") as server:
        yield server


@pytest.fixture
def own_kafka(run_folder: Path) -> Iterator[KafkaBroker]:
    """Give a broker for this test alone, to be killed, paused and started again."""
    with temporary.running_kafka(run_folder, name=f"kafka-{secrets.token_hex(4)}") as broker:
        yield broker


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """End the run if a teardown hangs, telling where: pytest turns a test's timeouts off once the test has failed."""
    faulthandler.dump_traceback_later(TEARDOWN_S, file=STDERR, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell a failure at once: a run that is ended from outside never prints its summary."""
    is_told_by_another = "PYTEST_XDIST_WORKER" in os.environ  # the run's first process hears of it too
    if report.failed and not is_told_by_another:
        told = f"\n{report.nodeid} failed in its {report.when}:\n{report.longreprtext[-FAILURE_CHARACTERS:]}\n"
        os.write(STDERR, told.encode())
