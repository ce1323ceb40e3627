"""What is old is forgotten in chunks, and found by its age."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from notifications.domain.sharing import Slots, share_out
from notifications.maintenance.forgetting_postgres import (
    CANCEL,
    CHUNK_ROWS,
    FORGET_DELIVERIES,
    FORGET_ENDPOINTS,
    FORGET_KEYS,
    FORGET_SECRETS,
    Clearing,
    DeliveryForgetting,
    KeyForgetting,
)
from notifications.sending.queue_postgres import PostgresQueue
from servicekit.maintenance import JobRun
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.notifications_api import Bench
from testkit.plans import nodes_of
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

URL = "http://127.0.0.1:8080/hooks"
DAYS = 30
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@pytest.fixture
async def app(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the app role."""
    connection = await asyncpg.connect(database.dsn_app)
    yield connection
    await connection.close()


async def told(bench: Bench, events: int, *, endpoints: int = 1) -> list[str]:
    """Make endpoints and tell them events; each delivery has been attempted."""
    ids = [(await bench.client.endpoint(URL))["id"] for _ in range(endpoints)]
    await bench.project(*[bench.stream.opened(wallet_in(3)) for _ in range(events)])
    async with bench.pool.connection() as connection:
        queue = PostgresQueue()
        candidates = await queue.candidates(connection, per_endpoint=events)
        grants = share_out(candidates, Slots(capacity=1_000, per_endpoint=events, held={}))
        await queue.lease(connection, new_id(), grants, lease_s=60.0)
    return ids


async def settle(app: asyncpg.Connection, *, days_ago: int, only: str = "true") -> None:
    await app.execute(
        f"""update notifications.delivery
            set status = 'delivered', settled_at = now() - make_interval(days => $1) where {only}""",
        days_ago,
    )


async def counts(app: asyncpg.Connection) -> tuple[int, int, int]:
    """Return how many deliveries, attempts and messages there are."""
    row = await app.fetchrow(
        """select (select count(*) from notifications.delivery), (select count(*) from notifications.attempt),
                  (select count(*) from notifications.message)"""
    )
    assert row is not None
    return (row[0], row[1], row[2])


async def test_what_is_young_is_kept(bench: Bench, app: asyncpg.Connection) -> None:
    await told(bench, 2)
    await settle(app, days_ago=29)
    assert await DeliveryForgetting(DAYS).forget_chunk(JobRun(app, None)) == 0
    assert await KeyForgetting(DAYS).forget_chunk(JobRun(app, None)) == 0
    assert await counts(app) == (2, 2, 2)


async def test_deliveries_go_in_lots_with_their_attempts_and_their_messages(
    bench: Bench, app: asyncpg.Connection
) -> None:
    await told(bench, 5)
    await settle(app, days_ago=31)
    forgetting = DeliveryForgetting(DAYS, chunk_rows=2)

    left = [await counts(app)]
    rows = []
    for _ in range(4):
        rows.append(await forgetting.forget_chunk(JobRun(app, None)))
        left.append(await counts(app))
    assert rows == [2, 2, 1, 0]
    assert [deliveries for deliveries, _, _ in left] == [5, 3, 1, 0, 0]
    assert [messages for _, _, messages in left] == [5, 3, 1, 0, 0]
    assert left[-1] == (0, 0, 0)
    await bench.project(bench.stream.opened(wallet_in(3)))
    await settle(app, days_ago=40)
    assert await forgetting.forget_chunk(JobRun(app, None)) == 1, "after a chunk that was not full it begins anew"


async def test_a_message_goes_with_the_last_of_its_deliveries(bench: Bench, app: asyncpg.Connection) -> None:
    one, _ = await told(bench, 3, endpoints=2)
    await settle(app, days_ago=31, only=f"endpoint_id = '{one}'")
    await DeliveryForgetting(DAYS).forget_chunk(JobRun(app, None))
    assert await app.fetchval("select count(*) from notifications.message") == 3

    await settle(app, days_ago=31)
    await DeliveryForgetting(DAYS).forget_chunk(JobRun(app, None))
    assert await counts(app) == (0, 0, 0)


async def test_five_thousand_old_deliveries_are_gone_after_one_turn_of_a_worker(
    bench: Bench, app: asyncpg.Connection
) -> None:
    (endpoint,) = await told(bench, 1)
    await app.execute("update notifications.endpoint set status = 'paused'")
    await app.execute(
        """with told as (
               insert into notifications.message (id, tenant_id, type, body, occurred_at)
               select uuidv7(), tenant_id, 'wallet.opened.v1', '', now() - interval '31 days'
               from notifications.endpoint, generate_series(1, 5000) returning id, tenant_id)
           insert into notifications.delivery
               (id, tenant_id, endpoint_id, message_id, type, status, next_attempt_at, created_at, settled_at)
           select uuidv7(), tenant_id, $1, id, 'wallet.opened.v1', 'delivered', now(), now(), now() - interval '31 days'
           from told""",
        endpoint,
    )
    await app.execute(
        """insert into notifications.idempotency (client, key, fingerprint, status, body, created_at)
           select uuidv7(), n::text, '', 200, '', now() - interval '31 days' from generate_series(1, 5000) as n"""
    )
    registry = CollectorRegistry()

    def done(job: str) -> float:
        return registry.get_sample_value("maintenance_runs_total", {"job": job, "outcome": "done"}) or 0

    async def both_had_their_turn() -> bool:
        return done("forget_deliveries") >= 1 and done("forget_keys") >= 1

    async with bench.worker(registry=registry):
        await eventually(both_had_their_turn)
        assert done("forget_deliveries") == done("forget_keys") == 1
    assert (await counts(app))[0] == 1
    assert await app.fetchval("select count(*) from notifications.idempotency") == 1


async def test_a_deleted_endpoint_is_removed_with_the_last_of_its_history(
    bench: Bench, app: asyncpg.Connection
) -> None:
    (deleted,) = await told(bench, 1)
    await bench.client.http.delete(f"/v1/webhook-endpoints/{deleted}")
    await app.execute("update notifications.endpoint set updated_at = now() - interval '31 days'")
    clearing = Clearing([FORGET_ENDPOINTS, FORGET_SECRETS], DAYS)
    assert await clearing.clear_chunk(JobRun(app, None)) == 0, "its delivery is still told"

    await settle(app, days_ago=31)
    await DeliveryForgetting(DAYS).forget_chunk(JobRun(app, None))
    assert await clearing.clear_chunk(JobRun(app, None)) == 1
    assert await app.fetchval("select count(*) from notifications.endpoint") == 0


async def test_a_secret_is_forgotten_long_after_it_expired(bench: Bench, app: asyncpg.Connection) -> None:
    await told(bench, 1)
    await app.execute("update notifications.endpoint_secret set expires_at = now() - interval '29 days'")
    clearing = Clearing([FORGET_SECRETS], DAYS)
    assert await clearing.clear_chunk(JobRun(app, None)) == 0
    await app.execute("update notifications.endpoint_secret set expires_at = now() - interval '31 days'")
    assert await clearing.clear_chunk(JobRun(app, None)) == 1


async def test_what_waits_for_nobody_is_cancelled(bench: Bench, app: asyncpg.Connection) -> None:
    deleted, paused = [(await bench.client.endpoint(URL))["id"] for _ in range(2)]
    await bench.client.post(f"webhook-endpoints/{paused}/pause")
    await bench.project(*[bench.stream.opened(wallet_in(3)) for _ in range(2)])
    await app.execute("update notifications.endpoint set status = 'deleted' where id = $1", deleted)
    await app.execute("update notifications.delivery set next_attempt_at = now() - interval '29 days'")
    clearing = Clearing([CANCEL], DAYS)

    assert await clearing.clear_chunk(JobRun(app, None)) == 2
    assert {each["status"] for each in await bench.client.deliveries(endpoint_id=deleted)} == {"cancelled"}
    assert {each["status"] for each in await bench.client.deliveries(endpoint_id=paused)} == {"pending"}
    await app.execute("update notifications.delivery set next_attempt_at = now() - interval '31 days'")
    assert await clearing.clear_chunk(JobRun(app, None)) == 2
    assert {each["status"] for each in await bench.client.deliveries()} == {"cancelled"}


@pytest.mark.parametrize(
    ("statement", "arguments", "index", "condition"),
    [
        (FORGET_DELIVERIES, (BEGINNING, DAYS, CHUNK_ROWS), "delivery_settled", "settled_at < "),
        (FORGET_KEYS, (BEGINNING, DAYS, CHUNK_ROWS), "idempotency_by_age", "created_at < "),
        (CANCEL, (CHUNK_ROWS, DAYS), "delivery_due", "next_attempt_at < "),
        (FORGET_SECRETS, (CHUNK_ROWS, DAYS), "endpoint_secret_by_expiry", "expires_at < "),
        (FORGET_ENDPOINTS, (CHUNK_ROWS, DAYS), "endpoint_left", None),
    ],
    ids=["deliveries", "keys", "cancelled", "secrets", "endpoints"],
)
async def test_what_is_old_is_found_by_an_index(
    app: asyncpg.Connection, statement: str, arguments: tuple[object, ...], index: str, condition: str | None
) -> None:
    nodes = await nodes_of(app, statement, *arguments)

    (found,) = (node for node in nodes if node.get("Index Name") == index)
    assert condition is None or condition in str(found["Index Cond"])
    assert not any(node["Node Type"] == "Seq Scan" for node in nodes)
