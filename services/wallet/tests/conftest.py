"""The wallet under test: a database per test from one template, and the API in process upon it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from uuid import UUID

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import SHARDS, new_id, shard_of
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database, Server, TemplateDatabase, migrated_template
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.adapters.partitions_postgres import PARTITIONS_AHEAD
from wallet.bootstrap import migration_sources
from wallet.bootstrap.api import open_api
from wallet.config import WalletSettings


@pytest.fixture(scope="session")
def wallet_template(postgres_server: Server) -> TemplateDatabase:
    """Give the migrated template."""
    return migrated_template(postgres_server, "wallet", migration_sources())


@pytest.fixture
async def database(wallet_template: TemplateDatabase) -> AsyncIterator[Database]:
    """Give this test's database."""
    async with wallet_template.database() as made:
        yield made


@pytest.fixture
def telemetry() -> Telemetry:
    """Give telemetry that nobody reads."""
    return Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))


@pytest.fixture
def settings(database: Database) -> WalletSettings:
    """Give the settings of this test's processes."""
    return WalletSettings(wallet_database_url=database.dsn_app, wallet_reader_database_url=database.dsn_reader)


@pytest.fixture
async def client(settings: WalletSettings, telemetry: Telemetry) -> AsyncIterator[Client]:
    """Give a client of the API, which runs in this process on real PostgreSQL."""
    async with open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


@pytest.fixture(params=[True, False], ids=["ahead", "on locked rows"])
async def api(settings: WalletSettings, telemetry: Telemetry, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Give a client of an API that decides ahead, and of one that does on locked rows."""
    way = settings.model_copy(update={"wallet_pipelining": request.param})
    async with open_api(way, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


PARTITION_WIDTH = 32


@pytest.fixture
async def small_partitions(database: Database) -> int:
    """Make journal partitions of 32 numbers instead, many enough for a test; return their width."""
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute(
        f"""select pg_advisory_xact_lock(7, 1);
            lock table wallet.journal in access exclusive mode;  -- in the order of everybody else: an API may run
            drop table {", ".join(f"wallet.journal_{number}" for number in range(1 + PARTITIONS_AHEAD))};
            create or replace function wallet.partition_width() returns bigint
            language sql immutable parallel safe as 'select {PARTITION_WIDTH}::bigint';
            select wallet.ensure_journal_partitions(12);"""
    )
    await owner.close()
    return PARTITION_WIDTH


Fill = Callable[[int], Awaitable[None]]


@pytest.fixture
async def fill(client: Client, database: Database, small_partitions: int) -> Fill:
    """Give what fills the journal: every shard up to a sequence, by commands; then all is published and folded."""
    assert small_partitions
    wallets: dict[int, str] = {}

    async def open_in_every_shard() -> None:
        while len(wallets) < SHARDS:
            for wallet_id in await asyncio.gather(*(client.open(owner_id=str(new_id())) for _ in range(32))):
                wallets.setdefault(shard_of(UUID(wallet_id)), wallet_id)

    async def pad(app: asyncpg.Connection, seq: int) -> None:
        heads = {row[0]: row[1] for row in await app.fetch(_HEADS)}
        wanted = {shard: seq - heads.get(shard, 0) for shard in range(SHARDS)}
        assert min(wanted.values()) >= 0, "fill goes forward only"
        commands = [
            ("/v1/deposits", deposit_of(wallets[shard], "5"))
            for shard, rows in wanted.items()
            for _ in range(rows // 2)
        ]
        commands += [
            (f"/v1/wallets/{wallets[shard]}/freeze", {"reason": "asked", "scope": "debits"})
            for shard, rows in wanted.items()
            if rows % 2
        ]
        answers = await client.post_all(commands)
        assert all(answer.is_success for answer in answers), [answer.text for answer in answers]

    async def fill_up_to(seq: int) -> None:
        app = await asyncpg.connect(database.dsn_app)
        await open_in_every_shard()
        ids = list(wallets.values())
        pairs = list(pairwise(ids))
        await client.post_all([("/v1/transfers", transfer_of(*pair, "1")) for pair in pairs])
        await pad(app, seq)
        await app.execute(
            f"update servicekit.relay_lease l set cursor = h.seq from ({_HEADS}) h where h.shard = l.shard"
        )
        while await app.fetchval("select wallet.fold_system_accounts(1000)"):
            pass
        await app.close()

    return fill_up_to


_HEADS = """
    select f.shard, greatest((select max(j.seq) from wallet.journal j where j.shard = f.shard),
                             (select max(a.seq) from wallet.archive_end a where a.shard = f.shard), 0) as seq
      from wallet.system_account_fold f"""
