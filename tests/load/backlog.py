"""How fast relay and projection drain a backlog: each alone, and both together from the journal to the read model.

The backlog is made by the committer: every event is a true one. Draining is timed from the first progress that is seen
to the last, so that the start of a process does not count.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
from tests.load import committing
from tests.load.database import WALLETS, connected, history_template, make_room, run_folder, wallet_template
from tests.load.processes import started

from contracts.topics import WALLET_WATERMARKS, Topic
from engines import temporary
from engines.postgres import PostgresServer
from engines.topics import ensure_topics
from servicekit.clock import monotonic_s
from testkit.databases import Database
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.queue import CommandQueue
from wallet.application.units import Stored
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.money import DepositFunds

PARTITIONS: Final = 16
LOOK_EVERY_S: Final = 0.05
DRAINED_WITHIN_S: Final = 900.0
_FUNDS_MINOR: Final = 10**9
_EVENTS_TO_BEGIN: Final = 3
"""Of each wallet: its opening, its deposit, and the system account's side of that."""
_RELAYED: Final = "select sum(cursor)::bigint from servicekit.relay_lease"
_PROJECTED: Final = "select coalesce(sum(last_seq), 0)::bigint from servicekit.checkpoint"
BEGIN_AGAIN: Final = "update servicekit.relay_lease set cursor = 0, owner = null, expires_at = '-infinity'"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events a second of the relay alone, the projection alone, and from the journal to the read model."""

    events: int
    relay_per_s: float
    projection_per_s: float
    both_per_s: float


async def measure(server: PostgresServer, events: int) -> Backlog:
    """Make a backlog of at least *events* and drain it."""
    async with AsyncExitStack() as stack:
        kafka = stack.enter_context(temporary.running_kafka(stack.enter_context(run_folder())))
        ledger = await stack.enter_async_context(wallet_template(server).database())
        template = history_template(server)
        models = [await stack.enter_async_context(template.database()) for _ in range(2)]
        made = await make(ledger, events)
        names = [f"bench.events.{number}" for number in (1, 2)]
        told = [Topic(name=name, partitions=PARTITIONS) for name in names]
        await ensure_topics(kafka.bootstrap_servers, [*told, WALLET_WATERMARKS])
        drain = Drain(kafka.bootstrap_servers, ledger, made)
        relay_per_s = await drain.run(names[0], None, relays=True)
        projection_per_s = await drain.run(names[0], models[0], relays=False)
        async with connected(ledger.dsn_admin) as connection:
            await connection.execute(BEGIN_AGAIN)
        both_per_s = await drain.run(names[1], models[1], relays=True)
    return Backlog(made, relay_per_s, projection_per_s, both_per_s)


@dataclass(frozen=True, slots=True)
class Drain:
    """Runs the processes and times what they do."""

    kafka: str
    ledger: Database
    events: int

    async def run(self, topic: str, model: Database | None, *, relays: bool) -> float:
        """Return the events a second until *model*, or the topic where there is none, has all of them."""
        looked_at = (self.ledger, _RELAYED) if model is None else (model, _PROJECTED)
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(connected(looked_at[0].dsn_admin))
            if model is not None:
                port = "TRANSACTION_HISTORY_PROJECTOR_PORT"
                projector = self._projector(topic, model)
                await stack.enter_async_context(started(("transaction_history", "projector"), port, projector))
            if relays:  # last: who consumes is up when there is something to consume
                await stack.enter_async_context(started(("wallet", "relay"), "WALLET_RELAY_PORT", self._relay(topic)))
            return await _rate(connection, looked_at[1], self.events)

    def _relay(self, topic: str) -> dict[str, str]:
        return {
            "WALLET_DATABASE_URL": self.ledger.dsn_app,
            "WALLET_READER_DATABASE_URL": self.ledger.dsn_reader,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "WALLET_EVENTS_TOPIC": topic,
        }

    def _projector(self, topic: str, model: Database) -> dict[str, str]:
        return {
            "TRANSACTION_HISTORY_DATABASE_URL": model.dsn_app,
            "TRANSACTION_HISTORY_READER_DATABASE_URL": model.dsn_reader,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "TRANSACTION_HISTORY_TOPIC": topic,
        }


async def _rate(connection: asyncpg.Connection, progress: str, events: int) -> float:
    """Return the events a second between the first look and the one that finds all done."""
    began_s, before = monotonic_s(), await connection.fetchval(progress)
    done = before
    async with asyncio.timeout(DRAINED_WITHIN_S):
        while done < events:
            await asyncio.sleep(LOOK_EVERY_S)
            done = await connection.fetchval(progress)
    drained = events - before
    return drained / max(monotonic_s() - began_s, LOOK_EVERY_S) if drained else float(events)


async def make(database: Database, events: int) -> int:
    """Open wallets, fund them, and transfer until there are *events*; return how many there are."""
    await make_room(database.dsn_admin)
    wallets = max(2, min(WALLETS, events // (_EVENTS_TO_BEGIN + 1)))
    transfers = (events - _EVENTS_TO_BEGIN * wallets) // 2
    async with committing.committer(PostgresLedger(database.dsn_app)) as queue:
        wallet_ids = await _open(queue, wallets)
        texts = [str(wallet_id) for wallet_id in wallet_ids]
        await committing.transfers(queue, texts, hot=False, is_enough=lambda done: done >= transfers)
    async with connected(database.dsn_admin) as connection:
        made: int = await connection.fetchval("select count(*) from wallet.journal")
    return made


async def _open(queue: CommandQueue, wallets: int) -> list[UUID]:
    """Open and fund as many wallets; return their ids."""
    commands = [OpenWallet(f"owner-{number}", "USD") for number in range(wallets)]
    opened = await asyncio.gather(*(queue.submit(committing.unit_of(each, "/v1/wallets")) for each in commands))
    wallet_ids = [outcome.resource_id for outcome in opened if isinstance(outcome, Stored) and outcome.resource_id]
    assert len(wallet_ids) == wallets
    funded = [committing.unit_of(DepositFunds(each, _FUNDS_MINOR, "USD"), "/v1/deposits") for each in wallet_ids]
    await asyncio.gather(*map(queue.submit, funded))
    return wallet_ids
