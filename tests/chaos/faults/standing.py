"""A process that stands still at a point of its own, and goes on afterwards."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action
from tests.chaos.run import Run

REACHED_WITHIN_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The process that stands still, since when on the monotonic clock, and what it told at the point."""

    name: str
    pid: int
    since_s: float
    facts: dict[str, Any]


@asynccontextmanager
async def standing(run: Run, point: str) -> AsyncIterator[Standing]:
    """Have the next process at *point* stand still during the body."""
    run.platform.gate.arm(point, Action.STOP)
    told = await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
    since_s = time.monotonic()
    await signals.stopped(told.pid)
    try:
        yield Standing(name=run.platform.name_of(told.pid), pid=told.pid, since_s=since_s, facts=told.facts)
    finally:
        os.kill(told.pid, signal.SIGCONT)
