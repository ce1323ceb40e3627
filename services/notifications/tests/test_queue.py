"""What workers take, and in which shares."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from contracts.ids import new_id
from notifications.domain.outcomes import AttemptOutcome, Delivered
from notifications.domain.sharing import QUICK_NEEDED, SLOW_MS, Slots, share_out
from notifications.maintenance import backlog
from notifications.sending import queue_postgres
from notifications.sending.queue_postgres import PostgresQueue
from notifications.sending.rows import AttemptResult, Lease, Settlement
from servicekit.postgres import Pool
from testkit.events import wallet_in
from testkit.notifications_api import Bench
from testkit.plans import nodes_of

pytestmark = pytest.mark.integration

URL = "http://127.0.0.1:8080/hooks"
QUEUE = PostgresQueue()
STATEMENTS: list[tuple[Any, ...]] = [
    (queue_postgres.CANDIDATES, 16),
    (backlog.BACKLOG,),
    *((statement,) for statement in backlog.HELD.values()),
]
"""What is read of deliveries beside a lease, each with its arguments."""


async def lease(pool: Pool, *, free: int, per_endpoint: int = 100) -> list[Lease]:
    """Lease as an idle worker with *free* slots does."""
    async with pool.connection() as connection:
        candidates = await QUEUE.candidates(connection, per_endpoint=per_endpoint)
        grants = share_out(candidates, Slots(capacity=free, per_endpoint=per_endpoint, held={}))
        return await QUEUE.lease(connection, new_id(), grants, lease_s=60.0)


async def endpoints(bench: Bench, count: int, *, failing: bool = False) -> list[str]:
    """Make endpoints, and let them fail where asked."""
    ids = [(await bench.client.endpoint(URL))["id"] for _ in range(count)]
    if failing:
        async with bench.pool.connection() as connection:
            await connection.execute(
                "update notifications.endpoint set failing_since = now() where id = any ($1::uuid[])", ids
            )
    return ids


async def events(bench: Bench, count: int) -> None:
    await bench.project(*[bench.stream.opened(wallet_in(3)) for _ in range(count)])


def per_endpoint_of(leases: list[Lease]) -> Counter[str]:
    return Counter(str(each.endpoint_id) for each in leases)


async def test_every_endpoint_gets_its_first_before_any_its_second(bench: Bench) -> None:
    ids = await endpoints(bench, 4)
    await events(bench, 10)

    assert per_endpoint_of(await lease(bench.pool, free=6)).keys() == set(ids)


async def test_endpoints_that_fail_share_what_is_left_to_them(bench: Bench) -> None:
    failing, healthy = await endpoints(bench, 6, failing=True), await endpoints(bench, 1)
    await events(bench, 10)

    taken = per_endpoint_of(await lease(bench.pool, free=7, per_endpoint=3))

    assert taken[healthy[0]] == 3
    assert sorted(taken[each] for each in failing) == [0, 0, 0, 1, 1, 1]


async def settle(bench: Bench, each: Lease, held_ms: int) -> None:
    result = AttemptResult(outcome=AttemptOutcome.DELIVERED, duration_ms=5, status_code=200, held_ms=held_ms)
    async with bench.pool.connection() as connection:
        await QUEUE.settle(connection, each, result, Settlement(step=Delivered(), failures=0))


async def test_one_slow_success_makes_an_endpoint_slow_until_many_were_quick(bench: Bench) -> None:
    await endpoints(bench, 1)
    await events(bench, 30)
    taken = await lease(bench.pool, free=30, per_endpoint=16)
    assert [each.is_lagging for each in taken] == [False] * 16

    await settle(bench, taken[0], SLOW_MS)
    for each in taken[1:QUICK_NEEDED]:
        await settle(bench, each, 10)
    slow = await lease(bench.pool, free=30, per_endpoint=40)
    assert [each.is_lagging for each in slow] == [True, True], "ten at once, of which eight are under way"

    await settle(bench, taken[QUICK_NEEDED], 10)
    assert not any(each.is_lagging for each in await lease(bench.pool, free=30, per_endpoint=40))


async def test_a_lease_waits_for_nobody_and_counts_what_another_has_taken(bench: Bench) -> None:
    (one,) = await endpoints(bench, 1)
    await events(bench, 10)
    async with bench.pool.connection() as connection:
        seen = await QUEUE.candidates(connection, per_endpoint=4)
        grants = share_out(seen, Slots(capacity=4, per_endpoint=4, held={}))
        async with bench.pool.transaction() as tx:
            await tx.connection.execute("select from notifications.endpoint where id = $1 for no key update", UUID(one))
            assert await QUEUE.lease(connection, new_id(), grants, lease_s=60.0) == [], "another is about to take them"
        assert len(await lease(bench.pool, free=3, per_endpoint=4)) == 3
        late = await QUEUE.lease(connection, new_id(), grants, lease_s=60.0)
    assert len(late) == 1, "what it saw is no longer so"


async def test_the_share_of_an_endpoint_is_over_all_workers(bench: Bench) -> None:
    await endpoints(bench, 1)
    await events(bench, 10)

    first = await lease(bench.pool, free=100, per_endpoint=4)
    second = await lease(bench.pool, free=100, per_endpoint=6)
    third = await lease(bench.pool, free=100, per_endpoint=6)

    assert [len(first), len(second), len(third)] == [4, 2, 0]
    assert len({each.delivery_id for each in first + second}) == 6


async def test_the_backlog_is_what_active_endpoints_wait_for(bench: Bench) -> None:
    paused, _ = await endpoints(bench, 2)
    await bench.client.post(f"webhook-endpoints/{paused}/pause")
    await events(bench, 3)

    async with bench.pool.connection() as connection:
        waiting = await backlog.measured(connection)

    assert (waiting.due, waiting.endpoints) == (3, {"active": 1, "paused": 1})
    assert waiting.oldest_s >= 0
    assert waiting.held == {"paused": 3, "retrying": 0}


async def test_what_a_failing_endpoint_waits_for_is_held(bench: Bench) -> None:
    await endpoints(bench, 1, failing=True)
    await endpoints(bench, 1)
    await events(bench, 3)
    async with bench.pool.connection() as connection:
        await connection.execute("update notifications.delivery set next_attempt_at = now() + interval '1 hour'")
        waiting = await backlog.measured(connection)

    assert (waiting.due, waiting.held) == (0, {"paused": 0, "retrying": 3})


async def test_the_backlog_is_counted_up_to_a_bound_over_all_endpoints(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = backlog.BACKLOG.replace(str(backlog.BACKLOG_COUNTED_MAX), "5")
    monkeypatch.setattr(backlog, "BACKLOG", bounded)
    await endpoints(bench, 3)
    await events(bench, 4)

    async with bench.pool.connection() as connection:
        assert (await backlog.measured(connection)).due == 5


async def test_no_backlog_and_no_history_is_read_on_the_way_to_a_lease(bench: Bench) -> None:
    async with bench.pool.connection() as connection:
        for statement, *arguments in STATEMENTS:
            nodes = await nodes_of(connection, statement, *arguments)
            used = [node["Index Name"] for node in nodes if str(node.get("Index Name", "")).startswith("delivery_")]
            assert set(used) <= {"delivery_due", "delivery_leased"}
            assert "delivery_due" in used
            assert all("endpoint_id" in str(node["Index Cond"]) for node in nodes if node.get("Index Name") in used)


async def test_only_the_last_attempts_are_kept(bench: Bench) -> None:
    await endpoints(bench, 1)
    await events(bench, 1)
    async with bench.pool.connection() as connection:
        for _ in range(55):
            await lease(bench.pool, free=1)
            await connection.execute("update notifications.delivery set next_attempt_at = now()")
    (delivery,) = await bench.client.deliveries()

    assert delivery["attempt_count"] == 55
    numbers = [attempt["number"] for attempt in await bench.client.attempts(delivery["id"])]
    assert numbers == list(range(55, 5, -1))
