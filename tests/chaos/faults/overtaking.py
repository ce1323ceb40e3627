"""One command overtakes another at a precise point, while the load stands still: what a missing lock lets through."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from tests.chaos.load.history import Command, Done
from tests.chaos.load.workload import Client
from tests.chaos.platform.gate import Action
from tests.chaos.platform.gated_ledger import WRITTEN
from tests.chaos.run import Run

REACHED_WITHIN_S = 5.0
POLL_S = 0.005
_WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'wallet-committer' and wait_event_type = 'Lock'"""

T = TypeVar("T")


async def settled_at(run: Run, command: Command, port: int) -> Done:
    """Settle *command* at one instance; TimeoutError when that is not possible in time."""
    client = Client(run.bank, run.chance, port=port)
    try:
        done = await client.settle(command)
    finally:
        client.close()
    if done is None:
        raise TimeoutError(f"{command.key} was not settled")
    return done


async def held_while(run: Run, first: Command, second: Awaitable[T], *, until_waiting: bool) -> tuple[Done, T]:
    """Hold *first* at one instance between its write and COMMIT, until *second* is done or waits for it."""
    run.platform.gate.arm(WRITTEN, Action.HOLD, key=first.key)
    holding = asyncio.create_task(settled_at(run, first, run.bank.ports[0]))
    await run.platform.gate.wait_reached(WRITTEN, within_s=REACHED_WITHIN_S)
    following = asyncio.ensure_future(second)
    try:
        if until_waiting:
            await committers_wait(run)
        else:
            await asyncio.wait({following}, timeout=REACHED_WITHIN_S)
    finally:
        run.platform.gate.release(WRITTEN)
    return await holding, await following


async def committers_wait(run: Run, count: int = 1) -> None:
    """Wait until *count* batches wait for a lock."""
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        while await connections["wallet"].fetchval(_WAITING) < count:  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)
