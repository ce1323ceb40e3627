"""A process that is paused at a point of its own and resumed afterwards."""

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
class PausedProcess:
    """The paused process, since when on the monotonic clock, and the facts it reported at the point."""

    name: str
    pid: int
    since_s: float
    facts: dict[str, Any]


@asynccontextmanager
async def pausing(run: Run, point: str) -> AsyncIterator[PausedProcess]:
    """Pause the next process that reaches *point* while the body runs."""
    run.platform.gate.arm(point, Action.STOP)
    told = await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
    since_s = time.monotonic()
    await signals.stopped(told.pid)
    try:
        yield PausedProcess(name=run.platform.name_of(told.pid), pid=told.pid, since_s=since_s, facts=told.facts)
    finally:
        os.kill(told.pid, signal.SIGCONT)
