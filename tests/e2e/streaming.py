"""The wallet's relay and the history's projector as processes, on databases of a test."""

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from servicekit.migrations import MigrationSource
from testkit.databases import Database, Server, migrated_template
from testkit.waiting import eventually
from testkit.wallet_api import Client, deposit_of, transfer_of

ENDS_WITHIN_S = 30


@dataclass(frozen=True)
class Platform:
    """Two databases and a broker; the topic of events is an argument, that of watermarks there only if it is made."""

    ledger: Database
    history: Database
    kafka: str
    watermarks_topic: str = field(default_factory=lambda: f"test-watermarks-{secrets.token_hex(6)}")

    def environment(self, topic: str) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "WALLET_DATABASE_URL": self.ledger.dsn_app,
            "WALLET_EVENTS_TOPIC": topic,
            "WALLET_WATERMARKS_TOPIC": self.watermarks_topic,
            "WALLET_RELAY_PORT": "0",
            "TRANSACTION_HISTORY_DATABASE_URL": self.history.dsn_app,
            "TRANSACTION_HISTORY_OWNER_DATABASE_URL": self.history.dsn_owner,
            "TRANSACTION_HISTORY_TOPIC": topic,
            "TRANSACTION_HISTORY_WATERMARKS_TOPIC": self.watermarks_topic,
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
        async with self.running(topic, "wallet", "relay"), self.running(topic, "transaction_history", "projector"):
            yield
            await eventually(self.is_drained)

    @asynccontextmanager
    async def running(self, topic: str, *command: str) -> AsyncIterator[None]:
        """Run a process until the body ends."""
        process = await self.started(topic, *command)
        drain = asyncio.create_task(process.communicate())
        try:
            yield
        finally:
            process.terminate()
            async with asyncio.timeout(ENDS_WITHIN_S):
                await drain

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


async def trade(client: Client) -> None:
    payer, payee = await client.open(deposit="100"), await client.open()
    answers = await client.post_all([("/v1/transfers", transfer_of(payer, payee, "1")) for _ in range(20)])
    answers.append(await client.post("/v1/withdrawals", deposit_of(payee, "3")))
    assert all(answer.is_success for answer in answers)
