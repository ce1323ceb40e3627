"""Read-your-writes: one task per process polls checkpoints for every reader that waits for a position."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts.positions import covers
from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded

WAIT_S: Final = 1.0
WAITERS_MAX: Final = 512
POLL_S: Final = 0.02
"""Readers wait for a projection that is a few of these behind; one poll serves all of them."""


class PositionNotReached(Exception):
    """The projection has not reached the position that a reader waits for in time; it may have a moment later."""


Checkpoints = Callable[[Collection[int]], Awaitable[Mapping[int, int]]]
"""Given shards, returns each to the last sequence the projection has applied; what it raises, every waiter raises."""


@dataclass(slots=True, eq=False)
class _Waiter:
    wanted: Mapping[int, int]
    reached: "asyncio.Future[Mapping[int, int]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PositionWaiter:
    """Waits until a projection has reached a position. Its polling task runs only while somebody waits."""

    def __init__(self, checkpoints: Checkpoints, *, wait_s: float = WAIT_S, waiters_max: int = WAITERS_MAX) -> None:
        self._checkpoints = checkpoints
        self._wait_s = wait_s
        self._waiters_max = waiters_max
        self._waiters: set[_Waiter] = set()
        self._polling: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many readers wait."""
        return len(self._waiters)

    async def wait_for(self, wanted: Mapping[int, int], *, share: float = 1.0) -> Mapping[int, int]:
        """Return the checkpoints that cover *wanted*: read at least once, after the call.

        Raises PositionNotReached when that *share* of the bound passes first, Overloaded when too many wait already,
        and what *checkpoints* raises.
        """
        if len(self._waiters) >= self._waiters_max:
            raise Overloaded("Too many readers wait for a position.")
        waiter = _Waiter(wanted)
        self._waiters.add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(self._wait_s * share):
                return await waiter.reached
        except TimeoutError:
            raise PositionNotReached from None
        finally:
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """End the polling task."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait({self._polling})

    async def _poll(self) -> None:
        while self._waiters:
            asked = list(self._waiters)  # who comes while the answer is on its way is served by the next one
            begun_s = monotonic_s()
            try:
                reached = await self._checkpoints({shard for waiter in asked for shard in waiter.wanted})
            except Exception as error:  # noqa: BLE001  whatever it is, each waiter's request reports it
                self._fail(asked, error)
            else:
                self._settle(asked, reached)
            await asyncio.sleep(max(0.0, POLL_S - (monotonic_s() - begun_s)))

    def _settle(self, asked: list[_Waiter], reached: Mapping[int, int]) -> None:
        for waiter in asked:
            if not waiter.reached.done() and covers(reached, waiter.wanted):
                self._waiters.discard(waiter)
                waiter.reached.set_result(reached)

    def _fail(self, asked: list[_Waiter], error: Exception) -> None:
        for waiter in asked:
            if not waiter.reached.done():
                self._waiters.discard(waiter)
                waiter.reached.set_exception(error)
