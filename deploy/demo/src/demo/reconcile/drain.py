"""Waiting until everything is drained: every projection has come to the end of its stream, and no webhook waits."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from demo.reconcile import postgres
from demo.stack import DemoError, Platform

POLL_S: Final = 0.2
STANDSTILL_S: Final = 60.0
_WAITING: Final = "select count(*) from notifications.delivery where status = 'pending'"
_DELIVERED: Final = "select count(*) from notifications.delivery"


async def drain(platform: Platform, on_progress: Callable[[int, int], None]) -> None:
    """Wait, calling *on_progress* with the steps done and their total; raises DemoError if nothing moves any more."""
    done, moved_at = -1, monotonic()
    while True:
        now, wanted = await _state(platform)
        on_progress(now, wanted)
        if now == wanted and (now, wanted) == await _state(platform):
            return
        if now != done:
            done, moved_at = now, monotonic()
        elif monotonic() - moved_at > STANDSTILL_S:
            raise DemoError(f"the platform has been at {now} of {wanted} steps for {STANDSTILL_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def _state(platform: Platform) -> tuple[int, int]:
    """Return how many steps are done of how many: an event or decision projected, a webhook delivered."""
    journal, decisions = await postgres.heads(platform.wallet_dsn), await postgres.decision_heads(platform.fraud_dsn)
    wanted = 4 * sum(journal.values()) + sum(decisions.values())
    done = _come(decisions, await postgres.reached(platform.wallet_dsn, "wallet_decisions"))
    for dsn, projection in (
        (platform.history_dsn, "transaction_history"),
        (platform.history_dsn, "history_index"),
        (platform.fraud_dsn, "fraud"),
        (platform.notifications_dsn, "notifications"),
    ):
        reached = await postgres.reached(dsn, projection)
        done += _come(journal, reached)
    async with postgres.snapshot(platform.notifications_dsn) as connection:
        deliveries: int = await connection.fetchval(_DELIVERED)
        waiting: int = await connection.fetchval(_WAITING)
    return done + deliveries - waiting, wanted + deliveries


def _come(wanted: Mapping[int, int], reached: Mapping[int, int]) -> int:
    return sum(min(seq, reached.get(shard, 0)) for shard, seq in wanted.items())
