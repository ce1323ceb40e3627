"""The process's own chores, in one loop: nothing here is on the way of a command."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do every so often; a failure of the world is logged and the chore is due again next time."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]


class Upkeep:
    """Runs chores one after another until it is cancelled."""

    def __init__(self, chores: list[Chore], *, tick_s: float = 0.5) -> None:
        self._chores = chores
        self._tick_s = tick_s
        self._due_s = {chore.name: 0.0 for chore in chores}

    async def run(self) -> None:
        """Run for ever."""
        while True:
            for chore in self._chores:
                if monotonic_s() >= self._due_s[chore.name]:
                    await self._do(chore)
                    self._due_s[chore.name] = monotonic_s() + chore.every_s
            await asyncio.sleep(self._tick_s)

    async def _do(self, chore: Chore) -> None:
        try:
            await chore.run()
        except OperationalError as error:
            _log.warning("upkeep.failed", chore=chore.name, error=error.detail)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # A bug in one chore must not end the others, nor the process.
            _log.exception("upkeep.bug", chore=chore.name)
