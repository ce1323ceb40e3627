"""A command, a row kind and an event that exist in this test alone go through everything the product's own go through.

No file of the product knows them: what it takes to add a capability is what `vouchers.py` has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry
from services.wallet.tests.vouchers import ISSUED, REDEEMED, SLICES, TYPES

from contracts.ids import new_id, shard_of
from contracts.registry import TYPES_BY_NUMBER
from servicekit.consumer.topic_reader import open_topic
from servicekit.lifecycle import Shutdown
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database
from testkit.pytest_plugin import MakeTopic
from testkit.wallet_api import Client, money
from wallet.bootstrap.api import open_api
from wallet.bootstrap.background import run_relay
from wallet.bootstrap.catalog import CATALOG
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings
from wallet.entrypoints.slices import Catalog
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.folding import Folding
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.terminal.archiving import show_archiving
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

EXTENDED: Final = Catalog((*CATALOG.slices, *SLICES))
FOLDING: Final = Folding(EXTENDED.facts, EXTENDED.kinds)
PUBLISHED_WITHIN_S: Final = 30.0


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give the metrics of the API."""
    return CollectorRegistry()


@pytest.fixture(params=[True, False], ids=["ahead", "on locked rows"])
def settings(database: Database, request: pytest.FixtureRequest) -> WalletSettings:
    """Give the settings of each path."""
    return WalletSettings(
        wallet_database_url=database.dsn_app,
        wallet_reader_database_url=database.dsn_reader,
        wallet_pipelining=request.param,
    )


@pytest.fixture
async def api(settings: WalletSettings, registry: CollectorRegistry) -> AsyncIterator[Client]:
    """Give a client of an API that knows vouchers."""
    telemetry = Telemetry("wallet", "test", "0", registry, Tracing("wallet", 0.0))
    async with open_api(settings, telemetry, parts=Parts(catalog=EXTENDED), authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http, keys="voucher")


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def issued(api: Client, wallet_id: str, amount: str = "10.00") -> str:
    answer = await api.post("/v1/vouchers", {"wallet_id": wallet_id, "amount": money(amount)})
    assert answer.status_code == 201, answer.text
    voucher_id: str = answer.json()["id"]
    return voucher_id


async def redeem(api: Client, voucher_id: str, wallet_id: str, amount: str, **more: Any) -> httpx2.Response:
    body = {"wallet_id": wallet_id, "amount": money(amount)}
    return await api.post(f"/v1/vouchers/{voucher_id}/redeem", body, **more)


async def test_it_is_carried_out_refused_repeated_and_missed(api: Client) -> None:
    issuer, payee = await api.open(), await api.open()
    voucher = await issued(api, issuer)

    redeemed = await redeem(api, voucher, payee, "6.00", key="k")
    again = await redeem(api, voucher, payee, "6.00", key="k")
    refused = await redeem(api, voucher, payee, "4.01")
    rest = await redeem(api, voucher, payee, "4.00")
    missing = await redeem(api, str(new_id()), payee, "1.00")
    no_id = await redeem(api, "no-id", payee, "1.00")

    assert (redeemed.status_code, again.status_code, again.content) == (201, 201, redeemed.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert redeemed.headers["location"] == f"/v1/transactions/{redeemed.json()['id']}"
    assert (await api.get(redeemed.headers["location"])).json() == redeemed.json()
    assert shard_of(UUID(voucher)) == shard_of(UUID(issuer)), "it stands with its home wallet"
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["voucher_id"]) == (409, "insufficient_funds", voucher)
    assert problem["available"] == money("4.00")
    assert rest.status_code == 201
    assert (missing.status_code, no_id.status_code) == (404, 404)
    assert await api.posted(payee) == "10.00"


async def test_it_goes_into_batches_of_both_modes_and_is_tried_out(api: Client, admin: asyncpg.Connection) -> None:
    issuer, payee = await api.open(), await api.open()
    voucher = await issued(api, issuer)
    member = {"type": "redeem_voucher", "voucher_id": voucher, "wallet_id": payee}
    commands = [{**member, "amount": money("6.00")}, {**member, "amount": money("6.00")}]

    tried = await redeem(api, voucher, payee, "10.00", dry_run="true")
    atomic = await api.post("/v1/batches", {"mode": "atomic", "commands": commands})
    independent = await api.post("/v1/batches", {"mode": "independent", "commands": commands})

    assert tried.status_code == 200
    assert (atomic.status_code, atomic.json()["index"], atomic.json()["problem"]["voucher_id"]) == (409, 1, voucher)
    assert [result["status"] for result in independent.json()["results"]] == [201, 409]
    (row,) = await admin.fetch("select cap_minor, used_minor, status, version from wallet.state")
    assert tuple(row) == (1_000, 600, 0, 2)


async def test_its_row_that_another_has_written_is_read_again(
    api: Client, admin: asyncpg.Connection, settings: WalletSettings, registry: CollectorRegistry
) -> None:
    issuer, payee = await api.open(), await api.open()
    voucher = await issued(api, issuer)
    assert (await redeem(api, voucher, payee, "1.00")).status_code == 201
    await admin.execute("update wallet.state set used_minor = 900, stamp = stamp + 1")

    refused = await redeem(api, voucher, payee, "2.00")

    assert (refused.status_code, refused.json()["available"]) == (409, money("1.00"))
    conflicts = registry.get_sample_value("wallet_batches_total", {"path": "locked", "why": "stamp"})
    assert conflicts == (1.0 if settings.wallet_pipelining else None)


async def test_it_is_in_the_document(api: Client) -> None:
    document = (await api.get("/openapi.json")).json()

    assert "/v1/vouchers/{voucher_id}/redeem" in document["paths"]
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    assert {"BatchIssueVoucher", "BatchRedeemVoucher", "VoucherBody"} <= schemas.keys()


async def test_its_events_are_published_and_its_wallets_are_proved(
    api: Client, database: Database, kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    issuer, payee = await api.open(), await api.open()
    assert (await redeem(api, await issued(api, issuer), payee, "6.00")).status_code == 201
    topic = await make_topic(16)
    settings = WalletSettings(
        wallet_database_url=database.dsn_app,
        wallet_reader_database_url=database.dsn_reader,
        kafka_bootstrap_servers=kafka_bootstrap,
        wallet_events_topic=topic,
        wallet_relay_port=0,
    )

    types = await published(settings, 5)

    assert {ISSUED.name, REDEEMED.name} <= set(types)
    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    assert (await rebuild(database.dsn_app, FOLDING, lambda _rows: None)).is_equal


async def published(settings: WalletSettings, count: int) -> list[str]:
    """Run the relay until *count* events are in the topic; return their types."""
    shutdown = Shutdown()
    relaying = asyncio.create_task(run_relay(settings, shutdown, types={**TYPES_BY_NUMBER, **TYPES}))
    records: list[Any] = []
    async with asyncio.timeout(PUBLISHED_WITHIN_S):
        while len(records) < count:
            assert not relaying.done()
            async with open_topic(settings.brokers, settings.wallet_events_topic, 16) as reader:
                records = [record async for received in reader.to_end() for record in received]
    shutdown.request()
    await relaying
    return [record.event.type for record in records]


async def test_its_events_are_archived(api: Client, database: Database, fill: Callable[[int], Awaitable[None]]) -> None:
    issuer, payee = await api.open(), await api.open()
    assert (await redeem(api, await issued(api, issuer), payee, "6.00")).status_code == 201
    await fill(40)

    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        assert await show_archiving(archiver, keep=0) == 1

    assert (await verify(database.dsn_app, lambda _rows: None)).holds
    assert (await rebuild(database.dsn_app, FOLDING, lambda _rows: None)).is_equal
