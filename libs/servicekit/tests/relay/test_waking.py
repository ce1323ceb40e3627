"""A relay that is told of new events sleeps until then; one that cannot be told looks."""

import asyncio

import pytest

from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool
from servicekit.relay.waking import Wakeup
from testkit.relay_bench import Bench
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

CHANNEL = "bench_outbox"
LONG_S = 3_600.0
NO_TIME_S = 0.001


async def asleep(wakeup: Wakeup, shutdown: Shutdown) -> "asyncio.Task[None]":
    """Return a sleep that has begun, after what was told before."""
    await wakeup.sleep(NO_TIME_S, shutdown)
    sleeping = asyncio.create_task(wakeup.sleep(LONG_S, shutdown))
    await asyncio.sleep(0)
    return sleeping


async def notify(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("select pg_notify($1, '')", CHANNEL)


async def test_whoever_listens_is_woken(bench: Bench) -> None:
    wakeup, shutdown = Wakeup(bench.pool, CHANNEL), Shutdown()
    await wakeup.listen()
    sleeping = await asleep(wakeup, shutdown)
    assert not sleeping.done()

    await notify(bench.pool)

    await sleeping
    wakeup.close()


async def test_the_end_wakes_too(bench: Bench) -> None:
    wakeup, shutdown = Wakeup(bench.pool, CHANNEL), Shutdown()
    await wakeup.listen()
    sleeping = await asleep(wakeup, shutdown)

    shutdown.request()

    await sleeping
    wakeup.close()


async def test_a_lost_connection_is_listened_to_again_and_what_came_meanwhile_is_looked_for(bench: Bench) -> None:
    wakeup, shutdown = Wakeup(bench.pool, CHANNEL), Shutdown()
    await wakeup.listen()
    await wakeup.sleep(NO_TIME_S, shutdown)
    async with bench.pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and query ilike 'listen%'"
        )

    async def is_lost() -> bool:
        return not wakeup.is_listening

    await eventually(is_lost)
    await notify(bench.pool)
    await wakeup.listen()

    await wakeup.sleep(LONG_S, shutdown)  # told at once: nobody knows what was missed
    assert wakeup.is_listening
    wakeup.close()


async def test_without_a_channel_nobody_is_told(bench: Bench) -> None:
    wakeup = Wakeup(bench.pool, None)
    await wakeup.listen()

    assert not wakeup.is_listening
    await wakeup.sleep(NO_TIME_S, Shutdown())
