"""Waiting until consumers have reached what they are to reach."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from tests.chaos.judge import observe
from tests.chaos.platform.platform import Connections, Platform
from tests.chaos.platform.product import Consumer

POLL_S = 0.05
DRAINED_WITHIN_S = 60.0
_DUE_SOON = """
    select count(*) from wallet.state
     where kind = 2 and status = 0 and due_at < pg_catalog.clock_timestamp() + interval '1 minute'"""


async def reached(
    connections: Connections, consumer: Consumer, wanted: Mapping[int, int], within_s: float = DRAINED_WITHIN_S
) -> None:
    """Wait until *consumer* has reached *wanted*; raise TimeoutError with what is missing."""
    until_s = time.monotonic() + within_s
    while True:
        found = await observe.checkpoints(connections, consumer)
        behind = {shard: (found.get(shard, 0), seq) for shard, seq in wanted.items() if found.get(shard, 0) < seq}
        if not behind:
            return
        if time.monotonic() > until_s:
            raise TimeoutError(f"{consumer.group}: shards are not where they should be: {behind}")
        await asyncio.sleep(POLL_S)


async def caught_up(connections: Connections, consumer: Consumer) -> None:
    """Wait until *consumer* has reached what there is to reach now."""
    await reached(connections, consumer, await observe.heads(connections, consumer))


async def drained(platform: Platform, within_s: float = DRAINED_WITHIN_S) -> None:
    """Wait until every consumer has reached its heads and nothing more comes of it: decisions make events too."""
    async with platform.connections() as connections, asyncio.timeout(within_s):
        before = None
        while before != (now := await _all_heads(connections, platform.consumers)):
            for consumer, wanted in zip(platform.consumers, now, strict=True):
                await reached(connections, consumer, wanted)
            before = now


async def _all_heads(connections: Connections, consumers: Sequence[Consumer]) -> list[dict[int, int]]:
    return [await observe.heads(connections, consumer) for consumer in consumers]


async def nothing_due(platform: Platform, within_s: float = DRAINED_WITHIN_S) -> None:
    """Wait until the holds that last for a moment have ended: they are events too."""
    async with platform.connections() as connections, asyncio.timeout(within_s):
        while await connections["wallet"].fetchval(_DUE_SOON):  # noqa: ASYNC110 - in the ledger
            await asyncio.sleep(POLL_S)
