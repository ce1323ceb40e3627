"""The fault of the network between the processes and PostgreSQL: slow, reset, half open."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.chaos.faults.database import COMMAND_WITHIN_S
from tests.chaos.load import exchanges
from tests.chaos.load.exchanges import Exchange
from tests.chaos.load.reading import READ_WITHIN_S, reading
from tests.chaos.run import Bite, Fault, Run

from servicekit.postgres import COMMAND_TIMEOUT_S
from testkit.proxy import Proxy

DELAY_S = 0.1
"""Of each direction: 200 ms for an exchange."""
SLOW_S = 5.0
RESETS = 5
RESET_EVERY_S = (0.2, 0.6)
HALF_OPEN_S = 4.0
RECOVERED_WITHIN_S = COMMAND_TIMEOUT_S + 5.0
"""A statement on a half-open connection is waited for until its timeout."""


class Network:
    """The one fault that needs something beside the platform: its proxy, made anew for each run."""

    def __init__(self) -> None:
        self._proxy: Proxy | None = None

    @property
    def proxy(self) -> Proxy:
        """The proxy of this run."""
        assert self._proxy is not None
        return self._proxy

    @asynccontextmanager
    async def between(self, run: Run) -> AsyncIterator[None]:
        """Start every process again, with the proxy between it and PostgreSQL."""
        platform = run.platform
        self._proxy = Proxy(platform.postgres.port)
        async with self._proxy.listening():
            await platform.start_through(self._proxy.port)
            yield

    async def disturb(self, run: Run) -> Bite:
        """F20: 200 ms more for every exchange, then resets, then connections that are half open for ever."""
        began_s = time.monotonic()
        async with reading(run, [*run.platform.api_ports, run.platform.port("history")]) as reads:
            done, slowed = await self._slow(run)
            resets = await self._reset(run)
            cut = await self._half_open()
        ended_s = time.monotonic()
        recovery_s = await run.recovery_s(ended_s)
        commands = [each for each in run.bank.exchanges if each.overlaps(began_s, ended_s)]
        return Bite(
            what=f"{done} commands done with 200 ms more, {resets} connections reset, {cut} left half open "
            f"with {self.proxy.swallowed} bytes",
            count=min(slowed, resets, cut, self.proxy.swallowed),
            recovery_s=recovery_s,
            breaches=_breaches(commands, reads, recovery_s),
        )

    async def _slow(self, run: Run) -> tuple[int, int]:
        """Return how many commands were done meanwhile, and how many took as long as the network does."""
        self.proxy.delay_s = DELAY_S
        began_s = time.monotonic()
        await asyncio.sleep(SLOW_S)
        self.proxy.delay_s = 0.0
        asked = [each for each in run.bank.exchanges if each.began_s > began_s]
        return sum(each.is_done for each in asked), sum(each.seconds >= 2 * DELAY_S for each in asked)

    async def _reset(self, run: Run) -> int:
        resets = 0
        for _ in range(RESETS):
            resets += self.proxy.reset()
            await asyncio.sleep(run.chance.uniform(*RESET_EVERY_S))
        return resets

    async def _half_open(self) -> int:
        """Leave those that there are half open for ever, and those that are made meanwhile."""
        self.proxy.is_cut = True
        cut = self.proxy.cut()
        await asyncio.sleep(HALF_OPEN_S)
        self.proxy.is_cut = False
        return cut


def _breaches(commands: list[Exchange], reads: list[Exchange], recovery_s: float) -> list[str]:
    return [
        *(f"commands: {breach}" for breach in exchanges.late(commands, COMMAND_WITHIN_S)),
        *(f"reads: {breach}" for breach in exchanges.late(reads, READ_WITHIN_S)),
        *exchanges.not_retryable([*commands, *reads]),
        *([f"recovered after {recovery_s:.1f} s"] if recovery_s > RECOVERED_WITHIN_S else []),
    ]


_network = Network()
FAULTS = (
    Fault(
        id="F20",
        title="slow, reset and half-open connections to PostgreSQL",
        inflict=_network.disturb,
        beside=_network.between,
    ),
)
