"""A topic is lost: the journal is replayed to a fresh one, and relay and read model go on there as if nothing was."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

import transaction_history.bootstrap
import wallet.bootstrap.api
from engines import topics
from servicekit.migrations import MigrationSource
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, migrated_template
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.config import WalletSettings

pytestmark = pytest.mark.e2e

ENDS_WITHIN_S = 30


@dataclass(frozen=True)
class Platform:
    """Two databases and a broker; the topic is an argument."""

    ledger: Database
    history: Database
    kafka: str

    def environment(self, topic: str) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "WALLET_DATABASE_URL": self.ledger.dsn_app,
            "WALLET_EVENTS_TOPIC": topic,
            "WALLET_RELAY_PORT": "0",
            "TRANSACTION_HISTORY_DATABASE_URL": self.history.dsn_app,
            "TRANSACTION_HISTORY_OWNER_DATABASE_URL": self.history.dsn_owner,
            "TRANSACTION_HISTORY_TOPIC": topic,
            "TRANSACTION_HISTORY_PROJECTOR_PORT": "0",
        }

    async def started(self, topic: str, *command: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command), env=self.environment(topic), stdout=PIPE, stderr=STDOUT
        )

    async def told(self, topic: str, *command: str) -> str:
        """Run a command to its end, which must be a good one; return what it said."""
        process = await self.started(topic, *command)
        async with asyncio.timeout(2 * ENDS_WITHIN_S):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    @asynccontextmanager
    async def streaming(self, topic: str) -> AsyncIterator[None]:
        """Run relay and projector on *topic*, and wait at the end until the read model has all of the journal."""
        running = [
            await self.started(topic, "wallet", "relay"),
            await self.started(topic, "transaction_history", "projector"),
        ]
        drains = [asyncio.create_task(process.communicate()) for process in running]
        try:
            yield
            await eventually(self.is_drained)
        finally:
            for process in running:
                process.terminate()
            async with asyncio.timeout(ENDS_WITHIN_S):
                await asyncio.gather(*drains)

    async def is_drained(self) -> bool:
        written = await rows(self.ledger, "select shard, max(seq) from wallet.journal group by shard")
        applied = await rows(self.history, "select shard, last_seq from servicekit.checkpoint where last_seq > 0")
        return written == applied


async def rows(database: Database, query: str) -> dict[int, int]:
    connection = await asyncpg.connect(database.dsn_app)
    try:
        return {row[0]: row[1] for row in await connection.fetch(query)}
    finally:
        await connection.close()


@asynccontextmanager
async def migrated(server: Server, service: str, sources: list[MigrationSource]) -> AsyncIterator[Database]:
    template = migrated_template(server, service, sources)
    async with template.database() as database:
        yield database
    await template.drop()


@pytest.fixture
async def platform(postgres_server: Server, kafka_bootstrap: str) -> AsyncIterator[Platform]:
    """Give the platform without its processes."""
    async with (
        migrated(postgres_server, "wallet", wallet.bootstrap.migration_sources()) as ledger,
        migrated(postgres_server, "transaction_history", transaction_history.bootstrap.migration_sources()) as history,
    ):
        yield Platform(ledger, history, kafka_bootstrap)


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[Client]:
    """Give a client of the API, which runs in this process."""
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    ledger = platform.ledger
    settings = WalletSettings(wallet_database_url=ledger.dsn_app, wallet_reader_database_url=ledger.dsn_reader)
    async with wallet.bootstrap.api.open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


async def trade(client: Client) -> None:
    payer, payee = await client.open(deposit="100"), await client.open()
    answers = await client.post_all([("/v1/transfers", transfer_of(payer, payee, "1")) for _ in range(20)])
    answers.append(await client.post("/v1/withdrawals", deposit_of(payee, "3")))
    assert all(answer.is_success for answer in answers)


async def test_everybody_goes_on_where_the_journal_was_replayed_to(
    platform: Platform, client: Client, make_topic: MakeTopic
) -> None:
    lost, fresh = await make_topic(16), await make_topic(16)
    async with platform.streaming(lost):
        await trade(client)
    await trade(client)
    async with topics.admin_client(platform.kafka) as admin:
        await admin.delete_topics([lost])

    said = await platform.told(lost, "wallet", "replay", "--to", fresh)
    async with platform.streaming(fresh):
        await trade(client)
        await eventually(platform.is_drained)
        compared = await platform.told(fresh, "transaction_history", "projections", "rebuild")

    assert f"events written to {fresh}" in said
    assert compared.strip().endswith("equal")
