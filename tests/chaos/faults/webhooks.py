"""Faults of the webhook workers: one that stands still, one that dies, receivers that are hostile."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from tests.chaos.faults.pausing import pausing
from tests.chaos.load.webhooks import all_sent, received
from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action
from tests.chaos.platform.product import WEBHOOK_LEASE_S, WEBHOOKS, WORKERS
from tests.chaos.run import Bite, Fault, Run

REACHED_WITHIN_S = 30.0
TAKEN_OVER_WITHIN_S = 3 * WEBHOOK_LEASE_S
POLL_S = 0.05
STALE = "webhook_attempts_stale_total"
Key = tuple[str, str]
"""An endpoint and the message for it."""

_OF_KEYS = """
    from notifications.delivery as d
    join unnest($1::uuid[], $2::uuid[]) as key (endpoint_id, message_id) using (endpoint_id, message_id)"""
_UNSETTLED = f"select count(*) {_OF_KEYS} where d.status = 'pending'"
_ROWS = f"select d::text as row {_OF_KEYS} order by 1"
_ATTEMPTS = f"select a::text as row {_OF_KEYS} join notifications.attempt as a on a.delivery_id = d.id order by 1"


async def stop_worker(run: Run) -> Bite:
    """F7: a worker stands still with deliveries under way until another has carried them out, then goes on."""
    async with pausing(run, "answered") as worker:
        keys = _keys(run, worker.facts["under_way"])
        await _carried_out(run, keys)
        recovery_s = time.monotonic() - worker.since_s
        before = await _rows(run, keys)
    stale = await _stale(run, worker.name, len(keys))
    same = await _rows(run, keys) == before
    again = _repeated(run, keys)
    under_way = f"{worker.name} stopped with {len(keys)} deliveries under way"
    what = f"{under_way}, {again} came again, {stale} stale attempts not written"
    breaches = [] if same else ["a worker that had stood still wrote what it had no lease for"]
    return Bite(what=what, count=min(again, stale), recovery_s=recovery_s, breaches=breaches)


async def kill_worker(run: Run) -> Bite:
    """F12: a worker dies between the receiver's answer and the settling write; the delivery repeats under its id."""
    run.platform.gate.arm("answered", Action.KILL)
    reached = await run.platform.gate.wait_reached("answered", within_s=REACHED_WITHIN_S)
    bitten_s = time.monotonic()
    name = run.platform.name_of(reached.pid)
    keys = _keys(run, reached.facts["under_way"])
    answered = _keys(run, [reached.facts["answered"]])
    await signals.gone(reached.pid)
    await run.platform.start(name, gated=True)
    await _carried_out(run, keys)
    recovery_s = time.monotonic() - bitten_s
    again = _repeated(run, answered)
    what = f"{name} killed with {len(keys)} deliveries under way, {_repeated(run, keys)} of them came again"
    breaches = [] if again else ["the delivery whose answer was there did not repeat"]
    return Bite(what=what, count=again, recovery_s=recovery_s, breaches=breaches)


def _keys(run: Run, sendings: Sequence[Sequence[str]]) -> list[Key]:
    return [(run.inbox.endpoint_of(path), webhook_id.removeprefix("msg_")) for path, webhook_id in sendings]


def _repeated(run: Run, keys: Sequence[Key]) -> int:
    """Return how many of *keys* came more than once."""
    came = [(post.endpoint_id, post.webhook_id.removeprefix("msg_")) for post in run.inbox.posts]
    return sum(came.count(key) > 1 for key in keys)


async def _carried_out(run: Run, keys: Sequence[Key]) -> None:
    """Wait until none of *keys* is pending."""
    async with run.platform.connections() as connections, asyncio.timeout(TAKEN_OVER_WITHIN_S):
        while await _fetch(connections["notifications"], _UNSETTLED, keys) != [0]:  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)


async def _rows(run: Run, keys: Sequence[Key]) -> list[str]:
    """Return all that is written of *keys*."""
    async with run.platform.connections() as connections:
        notifications = connections["notifications"]
        return [*await _fetch(notifications, _ROWS, keys), *await _fetch(notifications, _ATTEMPTS, keys)]


async def _fetch(connection: asyncpg.Connection, statement: str, keys: Sequence[Key]) -> list[Any]:
    rows = await connection.fetch(statement, [endpoint for endpoint, _ in keys], [message for _, message in keys])
    return [row[0] for row in rows]


async def _stale(run: Run, name: str, wanted: int) -> int:
    """Wait until the worker tells of *wanted* stale attempts; return how many it tells of."""
    async with asyncio.timeout(REACHED_WITHIN_S):
        while True:
            lines = (await run.platform.page(name, "/metrics")).splitlines()
            count = next((int(float(line.split(" ")[1])) for line in lines if line.startswith(f"{STALE} ")), 0)
            if count >= wanted:
                return count
            await asyncio.sleep(POLL_S)


async def count_repeats(run: Run, bite: Bite) -> None:
    """Wait until all is delivered, and tell how often that took more than one post."""
    await all_sent(run)
    keys = {(post.endpoint_id, post.webhook_id) for post in run.inbox.posts}
    bite.what += f"; {len(keys)} webhooks, {len(run.inbox.posts) - len(keys)} repeats, under the same ids"


FAULTS = (
    Fault(
        id="F7-worker",
        title="SIGSTOP a webhook worker beyond its lease",
        inflict=stop_worker,
        settle=count_repeats,
        beside=received,
        also=WEBHOOKS | WORKERS,
        gated=frozenset({"worker-1"}),
    ),
    Fault(
        id="F12-worker",
        title="kill -9 a webhook worker between the answer and the settling write",
        inflict=kill_worker,
        settle=count_repeats,
        beside=received,
        also=WEBHOOKS | WORKERS,
        gated=frozenset({"worker-1"}),
    ),
)
