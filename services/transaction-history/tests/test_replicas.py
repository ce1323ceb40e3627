"""Reads from a streaming standby: near enough it answers, and whatever befalls it the primary does."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from engines import temporary
from engines.postgres import VOLATILE, PostgresServer
from engines.standby import PostgresStandby
from servicekit.consumer import checkpoints
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import PoolSettings, open_pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import PASSWORD, Database, Server, TemplateDatabase, migrated_template
from testkit.events import wallet_in
from testkit.export_api import ExportApi, rows_of
from testkit.read_api import ReadApi
from testkit.running import running
from testkit.standby import promote, running_standby
from testkit.waiting import eventually
from transaction_history import bootstrap
from transaction_history.config import HistorySettings
from transaction_history.reads import wallets

pytestmark = pytest.mark.integration

SHARD = 5


@pytest.fixture(scope="module")
def primary(run_folder: Path) -> Iterator[PostgresServer]:
    with temporary.running_postgres(run_folder, settings=VOLATILE, name=f"primary-{secrets.token_hex(4)}") as server:
        yield server


@pytest.fixture(scope="module")
def template(primary: PostgresServer) -> TemplateDatabase:
    return migrated_template(Server(primary.admin_dsn), "transaction_history", bootstrap.migration_sources())


@pytest.fixture(scope="module")
def standby(primary: PostgresServer, run_folder: Path) -> Iterator[PostgresStandby]:
    """Give one for all of the module's tests; whoever stops it starts it again."""
    with running_standby(primary, run_folder / f"standby-{secrets.token_hex(4)}") as running:
        yield running


@dataclass(frozen=True, slots=True)
class Replicated:
    """The API over a primary and a replica."""

    api: ReadApi
    database: Database
    registry: CollectorRegistry
    settings: HistorySettings

    def reads(self, target: str, why: str) -> float:
        return self.registry.get_sample_value("history_reads_total", {"target": target, "why": why}) or 0.0

    async def open_wallet(self) -> UUID:
        wallet = wallet_in(SHARD)
        await self.api.project(self.api.stream.opened(wallet))
        return wallet

    async def see(self, wallet: UUID, seq: int) -> None:
        answer = await self.api.ask(f"wallets/{wallet}", **{"Min-Position": f"{SHARD}-{seq}"})
        assert answer.status_code == 200, answer.text

    async def replica(self) -> dict[str, Any]:
        answer = await self.api.client.get("/health/deep")
        check: dict[str, Any] = answer.json()["checks"]["replica-1"]
        return check

    async def until_replica_is(self, *, ok: bool, detail: str = "") -> None:
        async def is_so() -> bool:
            check = await self.replica()
            return check["ok"] == ok and detail in check["detail"]

        await eventually(is_so)


@asynccontextmanager
async def replicated(
    template: TemplateDatabase,
    standby: PostgresServer | None,
    folder: Path,
    *,
    role: str = "transaction_history_reader",
) -> AsyncIterator[Replicated]:
    registry, authority = CollectorRegistry(), AdmitsAs()
    telemetry = Telemetry("transaction_history", "api", "1", registry, Tracing("test", 0.0))
    async with template.database() as database:
        settings = HistorySettings(
            transaction_history_database_url=database.dsn_app,
            transaction_history_reader_database_url=database.dsn_reader,
            transaction_history_objects_url=str(folder / "objects"),
            transaction_history_replica_urls=[standby.dsn(database.name, role, PASSWORD)] if standby else [],
        )
        metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), "probe")
        async with (
            await open_pool(PoolSettings(dsn=database.dsn_app, application_name="projector")) as pool,
            bootstrap.open_api(settings, telemetry, authority=authority) as app,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://history") as client,
        ):
            processor = Processor(bootstrap.make_projection(settings), pool, metrics)
            yield Replicated(ReadApi(client, processor, authority, prefix="/v1/history"), database, registry, settings)


@pytest.fixture
async def bench(template: TemplateDatabase, standby: PostgresStandby, tmp_path: Path) -> AsyncIterator[Replicated]:
    async with replicated(template, standby, tmp_path) as opened:
        await opened.until_replica_is(ok=True)
        yield opened


@contextmanager
def away(standby: PostgresServer) -> Iterator[None]:
    standby.kill()
    try:
        yield
    finally:
        standby.start()


@asynccontextmanager
async def replay_paused(standby: PostgresServer) -> AsyncIterator[None]:
    admin = await asyncpg.connect(standby.admin_dsn)
    try:
        await admin.execute("select pg_wal_replay_pause()")

        async def is_paused() -> bool:
            return bool(await admin.fetchval("select pg_get_wal_replay_pause_state()") == "paused")

        await eventually(is_paused)
        yield
    finally:
        await admin.execute("select pg_wal_replay_resume()")
        await admin.close()


async def test_without_replicas_nobody_is_probed(template: TemplateDatabase, tmp_path: Path) -> None:
    async with replicated(template, None, tmp_path) as bench:
        await bench.see(await bench.open_wallet(), 1)

        assert bench.reads("primary", "only") == 1
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("replica-")]


async def test_a_replica_that_is_near_answers(bench: Replicated) -> None:
    wallet = await bench.open_wallet()
    answer = await bench.api.ask(f"wallets/{wallet}", **{"Min-Position": f"{SHARD}-1"})

    assert answer.status_code == 200
    assert answer.headers["Ledger-Position"] == f"{SHARD}-1"
    assert bench.reads("replica-1", "waited") + bench.reads("replica-1", "covers") == 1
    assert (await bench.api.get(f"wallets/{wallet}"))["id"] == str(wallet)
    assert bench.reads("replica-1", "near") == 1
    assert bench.reads("primary", "replica_failed") == 0


async def test_a_tag_is_the_same_on_either_server(bench: Replicated, standby: PostgresStandby) -> None:
    wallet = await bench.open_wallet()
    await bench.see(wallet, 1)
    of_replica = await bench.api.ask(f"wallets/{wallet}")
    known = {"If-None-Match": of_replica.headers["ETag"]}

    again = await bench.api.ask(f"wallets/{wallet}", **known)
    assert bench.reads("replica-1", "near") == 2
    async with replay_paused(standby):
        await bench.until_replica_is(ok=False)
        of_primary = await bench.api.ask(f"wallets/{wallet}", **known)

    assert (again.status_code, of_primary.status_code) == (304, 304)
    assert bench.reads("primary", "none_near") >= 1


async def test_a_replica_whose_replay_stands_still_is_not_read_from(
    bench: Replicated, standby: PostgresStandby
) -> None:
    old = await bench.open_wallet()
    await bench.see(old, 1)
    async with replay_paused(standby):
        new = await bench.open_wallet()
        await bench.see(new, 2)
        assert bench.reads("primary", "none_covers") + bench.reads("primary", "none_near") == 1
        await bench.until_replica_is(ok=False, detail="ms behind: not read from")
        await bench.api.get(f"wallets/{new}")
        assert bench.reads("primary", "none_near") >= 1
    await bench.until_replica_is(ok=True)
    before = bench.reads("replica-1", "near")
    await bench.api.get(f"wallets/{new}")
    assert bench.reads("replica-1", "near") == before + 1


async def test_a_read_that_recovery_cancels_is_answered_by_the_primary(
    bench: Replicated, standby: PostgresStandby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction on the replica reads what is then vacuumed away on the primary."""
    wallet = await bench.open_wallet()
    await bench.see(wallet, 1)
    states, known = list[str](), wallets.known_wallet
    owner = await asyncpg.connect(bench.database.dsn_owner)

    async def conflicting(view: Any, wallet_id: UUID) -> Any:
        if await view.connection.fetchval("select pg_is_in_recovery()"):
            try:
                async with view.connection.transaction(isolation="repeatable_read"):
                    await view.connection.fetch("select * from transaction_history.wallet")
                    await bench.api.project(bench.api.stream.deposited(wallet))
                    await owner.execute("vacuum transaction_history.wallet")
                    await view.connection.fetchval("select pg_sleep(10)")
            except asyncpg.PostgresError as error:
                states.append(str(error.sqlstate))
                raise
        return await known(view, wallet_id)

    monkeypatch.setattr(wallets, "known_wallet", conflicting)
    admin = await asyncpg.connect(standby.admin_dsn)
    await admin.execute("alter system set max_standby_streaming_delay = 0")
    await admin.execute("select pg_reload_conf()")
    try:
        answer = await bench.api.ask(f"wallets/{wallet}")
    finally:
        await admin.execute("alter system reset max_standby_streaming_delay")
        await admin.execute("select pg_reload_conf()")
        await admin.close()
        await owner.close()

    assert states == ["40001"]
    assert answer.status_code == 200
    assert answer.headers["Ledger-Position"] == f"{SHARD}-2"
    assert bench.reads("primary", "replica_failed") == 1


async def test_what_a_replica_that_hangs_was_asked_the_primary_answers(
    bench: Replicated, standby: PostgresStandby
) -> None:
    wallet = await bench.open_wallet()
    await bench.see(wallet, 1)
    standby.daemon.pause()
    try:
        answers = await asyncio.gather(*(bench.api.ask(f"wallets/{wallet}") for _ in range(4)))
        await bench.until_replica_is(ok=False, detail="does not answer")
        assert [answer.status_code for answer in answers] == [200] * 4
        await bench.api.get(f"wallets/{wallet}")
        assert bench.reads("primary", "none_near") >= 1
    finally:
        standby.daemon.resume()
    await bench.until_replica_is(ok=True)


async def test_a_replica_that_is_gone_is_missed_by_nobody(bench: Replicated, standby: PostgresStandby) -> None:
    wallet = await bench.open_wallet()
    await bench.see(wallet, 1)
    with away(standby):
        for _ in range(3):
            await bench.api.get(f"wallets/{wallet}")
        await bench.until_replica_is(ok=False, detail="does not answer")
        await bench.see(wallet, 1)
        assert bench.reads("primary", "none_near") >= 1
    await bench.until_replica_is(ok=True)
    before = bench.reads("replica-1", "near")
    await bench.api.get(f"wallets/{wallet}")
    assert bench.reads("replica-1", "near") == before + 1


async def test_the_api_starts_while_its_replica_is_away(
    template: TemplateDatabase, standby: PostgresStandby, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        with away(standby):
            bench = await stack.enter_async_context(replicated(template, standby, tmp_path))
            await bench.see(await bench.open_wallet(), 1)
            assert bench.reads("primary", "none_near") == 1
        await bench.until_replica_is(ok=True)


async def test_what_another_server_has_not_is_not_answered_by_it(
    bench: Replicated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was probed may stand at an older point by now, where somebody put a copy into its place."""
    wallet = await bench.open_wallet()
    await bench.see(wallet, 1)

    async def further(*_: object) -> dict[int, int]:
        return {SHARD: 9}

    monkeypatch.setattr(checkpoints, "reached", further)
    before = bench.reads("replica-1", "waited") + bench.reads("replica-1", "covers")
    await bench.see(wallet, 9)
    assert bench.reads("primary", "none_covers") == 1
    assert bench.reads("replica-1", "waited") + bench.reads("replica-1", "covers") == before


async def test_a_replica_is_not_read_as_somebody_who_sees_every_tenant(
    template: TemplateDatabase, standby: PostgresStandby, tmp_path: Path
) -> None:
    async with replicated(template, standby, tmp_path, role="transaction_history_app") as bench:
        await bench.until_replica_is(ok=False, detail="row-level security does not bind")
        await bench.see(await bench.open_wallet(), 1)
        assert bench.reads("primary", "none_near") == 1


async def test_a_promoted_replica_is_taken_out(
    primary: PostgresServer, template: TemplateDatabase, run_folder: Path, tmp_path: Path
) -> None:
    with running_standby(primary, run_folder / f"standby-{secrets.token_hex(4)}") as own:
        async with replicated(template, own, tmp_path) as bench:
            await bench.until_replica_is(ok=True)
            wallet = await bench.open_wallet()
            await bench.see(wallet, 1)
            await promote(own)
            await bench.until_replica_is(ok=False, detail="promoted")

            new = await bench.open_wallet()
            await bench.api.get(f"wallets/{new}")
            await bench.see(new, 2)
            assert bench.reads("primary", "none_near") == 2


async def test_exports_are_read_from_a_replica_that_has_what_they_look_at(bench: Replicated) -> None:
    registry, exports = CollectorRegistry(), ExportApi(bench.api)
    telemetry = Telemetry("transaction_history", "worker", "1", registry, Tracing("test", 0.0))
    wallet = await bench.open_wallet()

    async def is_read() -> bool:
        ended = await exports.ended(await exports.ask(dataset="balances"))
        rows = rows_of(await exports.file(ended["id"]))
        assert [row["wallet_id"] for row in rows] == [str(wallet)]
        return bool(registry.get_sample_value("history_reads_total", {"target": "replica-1", "why": "covers"}))

    async with (
        await open_pool(bench.settings.worker.pool) as pool,
        bootstrap.open_worker(bench.settings, telemetry, pool) as working,
        running(working),
    ):
        await eventually(is_read)
