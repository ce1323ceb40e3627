"""What a process needs of the world: asked every few seconds, and when an operator looks.

Nothing here takes a process out of service: it shows who is to blame.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from servicekit.health import Check

ASKED_EVERY_S: Final = 5.0
ANSWER_S: Final = 1.5
"""What takes longer to answer is down: nothing works that waits for it."""
_FIRST_S: Final = 0.5


class Dependency(StrEnum):
    """What a process may need."""

    DATABASE = "database"
    BROKER = "broker"


Ask = Callable[[], Awaitable[None]]
"""Returns when the dependency has answered, raises when it cannot."""


class Dependencies(Collector):
    """Whether each dependency answered when it was asked last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._asks: dict[Dependency, Ask] = {}
        self._found: dict[Dependency, Check] = {}
        self._round: asyncio.Task[None] | None = None
        registry.register(self)

    @asynccontextmanager
    async def watching(self, asks: Mapping[Dependency, Ask]) -> AsyncIterator[None]:
        """Ask over and over while the body runs, one at a time of each."""
        self._asks = dict(asks)
        task = asyncio.create_task(self._watch(), name="dependencies")
        try:
            yield
        finally:
            rounds = [task] if self._round is None else [task, self._round]
            for each in rounds:
                each.cancel()
            await asyncio.wait(rounds)
            self._asks = {}

    async def check(self) -> Mapping[str, Check]:
        """Ask all now, and return what each answered within its time; who comes meanwhile is told the same."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._ask_all(), name="dependencies-round")
        await asyncio.shield(self._round)
        return {dependency.value: self._found[dependency] for dependency in self._asks}

    def collect(self) -> Iterator[Metric]:
        """Yield what was found last; nothing of what was not asked yet."""
        family = GaugeMetricFamily(
            "dependency_up", "1 where it answered when it was asked last, at most seconds ago.", labels=["dependency"]
        )
        for dependency, found in list(self._found.items()):  # a scrape runs in a thread of its own
            family.add_metric([dependency.value], float(found.ok))
        yield family

    async def _watch(self) -> None:
        await asyncio.sleep(_FIRST_S)
        while True:
            await self.check()
            await asyncio.sleep(ASKED_EVERY_S)

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask(dependency, ask) for dependency, ask in self._asks.items()))

    async def _ask(self, dependency: Dependency, ask: Ask) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await ask()
        except TimeoutError:
            self._found[dependency] = Check(ok=False, detail=f"no answer within {ANSWER_S} s")
        except Exception as error:  # noqa: BLE001  whatever it is, it did not answer
            self._found[dependency] = Check(ok=False, detail=f"no answer: {type(error).__name__}")
        else:
            self._found[dependency] = Check(ok=True, detail="answers")
