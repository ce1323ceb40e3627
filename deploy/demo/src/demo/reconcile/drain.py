"""Waiting until the stream is drained: the read model has applied the last row of the journal in every shard."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from demo.reconcile.postgres import heads, projected_heads
from demo.stack import DemoError, Platform

POLL_S: Final = 0.2
STANDSTILL_S: Final = 60.0


async def drain(platform: Platform, on_progress: Callable[[int, int], None]) -> None:
    """Wait, telling *on_progress* how many rows of how many are projected; DemoError when nothing moves any more."""
    wanted = await heads(platform.wallet_dsn)
    done, moved_at = -1, monotonic()
    while True:
        now = _come(wanted, await projected_heads(platform.history_dsn))
        on_progress(now, sum(wanted.values()))
        if now == sum(wanted.values()):
            return
        if now > done:
            done, moved_at = now, monotonic()
        elif monotonic() - moved_at > STANDSTILL_S:
            raise DemoError(f"the read model stands at {now} of {sum(wanted.values())} events for {STANDSTILL_S:.0f} s")
        await asyncio.sleep(POLL_S)


def _come(wanted: Mapping[int, int], projected: Mapping[int, int]) -> int:
    return sum(min(seq, projected.get(shard, 0)) for shard, seq in wanted.items())
