"""The settler over a real PostgreSQL, and the strict kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from engines.ports import LOOPBACK
from servicekit.limits import Admitted, Charge, Limit, Limited, Limits, Rate, RatePolicy, Settler
from servicekit.limits.settling import FORGOTTEN_MAX, QUIET_US
from servicekit.limits.strict import take_strictly
from servicekit.postgres import Connection, PoolSettings, open_pool, transaction
from testkit.databases import Database
from testkit.proxy import Proxy
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

USER = Charge(Limit.USER, b"user")
SLOW = RatePolicy(user=Rate.of(1, burst=60))
STRICT = Rate.of(1, seconds=60, burst=3)


def settling(limits: Limits, dsn: str, registry: CollectorRegistry | None = None) -> AbstractAsyncContextManager[None]:
    """Return a running settler."""
    return Settler(
        limits, dsn=dsn, application="test", instance=new_id(), registry=registry or CollectorRegistry()
    ).running()


async def until_there_are(instances: int, *of: Limits) -> None:
    async def there_are() -> bool:
        return all(each.buckets.instances == instances for each in of)

    await eventually(there_are)


@asynccontextmanager
async def through_a_network(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a network, and the address of the database behind it."""
    address = urlsplit(dsn)
    proxy = Proxy(address.port or 0, address.hostname or "")
    async with proxy.listening():
        netloc = f"{address.username}:{address.password}@{LOOPBACK}:{proxy.port}"
        yield proxy, urlunsplit(address._replace(netloc=netloc))


async def test_instances_know_of_each_other_and_of_an_end(database: Database) -> None:
    one, other = Limits(SLOW), Limits(SLOW)

    async with settling(one, database.dsn_app):
        assert one.buckets.instances == 1  # known before anybody is served
        async with settling(other, database.dsn_app):
            await until_there_are(2, one, other)
        await until_there_are(1, one)


async def test_what_one_spent_the_other_has_not_got(database: Database) -> None:
    one, other = Limits(SLOW), Limits(SLOW)

    async with settling(one, database.dsn_app), settling(other, database.dsn_app):
        await until_there_are(2, one, other)
        spent = 0

        async def is_spent() -> bool:
            nonlocal spent
            while isinstance(one.admit([USER]), Admitted):
                spent += 1
            return spent >= 60

        await eventually(is_spent)
        other.admit([USER], 10)  # a part of the share that it has before it asks

        async def is_refused() -> bool:
            return isinstance(other.admit([USER], 10), Limited)

        await eventually(is_refused)
        await eventually(is_refused)


async def test_without_the_database_nothing_waits_and_the_share_comes_back(database: Database) -> None:
    registry = CollectorRegistry()
    limits = Limits(RatePolicy(user=Rate.of(1_000, burst=1_000)))

    async with through_a_network(database.dsn_app) as (proxy, dsn), settling(limits, dsn, registry):
        proxy.is_cut = True
        proxy.cut()
        spent = 0

        async def is_beyond_the_burst() -> bool:
            nonlocal spent
            while isinstance(limits.admit([USER], 10), Admitted):
                spent += 10
            return spent >= 1_500

        await eventually(is_beyond_the_burst)

        async def is_counted() -> bool:
            return (registry.get_sample_value("rate_settle_failures_total") or 0) >= 1

        await eventually(is_counted)
        proxy.is_cut = False
        proxy.reset()
        failures = registry.get_sample_value("rate_settle_failures_total")

        async def is_settled() -> bool:
            bucket = limits.buckets.awake(*USER, 0)
            return bucket.reserved > 0

        await eventually(is_settled)
        assert failures is not None
        assert (registry.get_sample_value("rate_limited_total", {"limit": "user"}) or 0) >= 1
        assert registry.get_sample_value("rate_buckets", {"limit": "user"}) == 1


async def test_a_process_starts_without_its_database() -> None:
    limits = Limits(SLOW)

    async with settling(limits, f"postgresql://a:b@{LOOPBACK}:1/c"):
        assert isinstance(limits.admit([USER]), Admitted)


async def test_whole_buckets_and_dead_instances_are_forgotten(connection: Connection) -> None:
    now_us = 10**15
    ages = [(b"whole", now_us - 11_000_000), (b"young", now_us - 9_000_000), (b"used", now_us + 1)]
    await connection.executemany("insert into servicekit.rate_bucket values (1, $1, $2)", ages)
    dead, live = new_id(), new_id()
    await connection.executemany(
        "insert into servicekit.rate_instance values ($1, $2)", [(dead, now_us - 61_000_000), (live, now_us)]
    )

    assert await connection.fetchval("select servicekit.forget_rates($1, $2)", now_us, FORGOTTEN_MAX) == 1
    assert await connection.fetchval("select array_agg(id order by id) from servicekit.rate_bucket") == [
        b"used",
        b"young",
    ]
    assert await connection.fetchval("select array_agg(id) from servicekit.rate_instance") == [live]


async def test_an_idle_instance_tells_that_it_lives_twice_a_second(database: Database, connection: Connection) -> None:
    now_us = [0]
    limits = Limits(RatePolicy(user=Rate.of(10, burst=10)))
    settler = Settler(
        limits,
        dsn=database.dsn_app,
        application="test",
        instance=new_id(),
        registry=CollectorRegistry(),
        clock=lambda: now_us[0],
    )

    async def is_told_at(us: int) -> bool:
        now_us[0] = us
        await connection.execute("delete from servicekit.rate_instance")
        await settler.settle()
        return bool(await connection.fetchval("select count(*) from servicekit.rate_instance"))

    assert await is_told_at(0)
    assert not await is_told_at(QUIET_US - 1)
    assert await is_told_at(QUIET_US)
    limits.admit([Charge(Limit.USER, b"one")], 9)
    assert await is_told_at(QUIET_US + 1)
    await settler._end()


async def test_instances_that_settle_the_same_buckets_never_block_each_other_for_ever(database: Database) -> None:
    limits = [Limits(RatePolicy(user=Rate.of(10, burst=10))) for _ in range(4)]
    registry = CollectorRegistry()
    settlers = [
        Settler(
            each,
            dsn=database.dsn_app,
            application="test",
            instance=new_id(),
            registry=registry if number == 0 else CollectorRegistry(),
        )
        for number, each in enumerate(limits)
    ]
    for number, each in enumerate(limits):
        ids = [n.to_bytes(2) for n in range(200)]
        for id_ in ids if number % 2 else reversed(ids):
            each.admit([Charge(Limit.USER, id_)], 2)

    for _ in range(5):
        await asyncio.gather(*(settler.settle() for settler in settlers))
        for each in limits:
            for n in range(200):
                each.admit([Charge(Limit.USER, n.to_bytes(2))])

    assert registry.get_sample_value("rate_settle_failures_total") == 0
    for settler in settlers:
        await settler._end()


async def test_the_strict_kind_takes_from_the_row_in_the_callers_transaction(connection: Connection) -> None:
    taken = []
    for _ in range(4):
        async with transaction(connection) as tx:
            taken.append(await take_strictly(tx, Limit.KEY_CREATION, b"tenant", STRICT))

    assert [each.allowed for each in taken] == [True, True, True, False]
    assert [each.remaining for each in taken] == [2, 1, 0, 0]
    assert taken[3].retry_after_us is not None
    assert 0 < taken[3].retry_after_us <= 60_000_000
    async with transaction(connection) as tx:
        assert (await take_strictly(tx, Limit.KEY_CREATION, b"other", STRICT, 3)).allowed
        never = await take_strictly(tx, Limit.KEY_CREATION, b"third", STRICT, 4)
    assert (never.allowed, never.retry_after_us) == (False, None)


async def take_all_and_fail(connection: Connection) -> None:
    async with transaction(connection) as tx:
        assert (await take_strictly(tx, Limit.KEY_CREATION, b"tenant", STRICT, 3)).allowed
        raise ZeroDivisionError


async def test_what_is_rolled_back_was_not_taken(connection: Connection) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await take_all_and_fail(connection)


async def test_callers_at_once_get_no_more_than_there_is(database: Database) -> None:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test", max_size=8)) as pool:

        async def create() -> bool:
            async with pool.transaction() as tx:
                return (await take_strictly(tx, Limit.KEY_CREATION, b"tenant", STRICT)).allowed

        assert sorted(await asyncio.gather(*(create() for _ in range(8)))) == [False] * 5 + [True] * 3
