"""A process's life: one event loop, and a graceful end with a deadline.

`run(main)` gives *main* a `Shutdown`; SIGTERM or SIGINT requests it, a second signal ends the process at once.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, NoReturn

import uvloop
from prometheus_client import CollectorRegistry, Histogram

from servicekit.clock import monotonic_s
from servicekit.telemetry import get_logger

EXIT_FAILED: Final = 1
EXIT_DRAIN_LATE: Final = 70
CLOSE_S: Final = 2.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SWITCH_S: Final = 0.001
"""How long the event loop waits for a thread that computes (a scrape, a file of a job): by default five times that."""
_DELAY_PERIOD_S: Final = 0.1
_DELAY_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Shutdown:
    """The process's end: requested once, by a signal or by a part of it that cannot go on."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.exit_code = 0

    @property
    def is_requested(self) -> bool:
        """Whether the process is on its way out."""
        return self._requested.is_set()

    def request(self, exit_code: int = 0) -> None:
        """Ask every part to finish what it has begun; the first exit code that is not 0 stays."""
        self.exit_code = self.exit_code or exit_code
        self._requested.set()

    async def wait(self) -> None:
        """Return when the end is requested."""
        await self._requested.wait()

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or return early if the end is requested; return whether it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        return self._requested.is_set()


async def run_together(shutdown: Shutdown, *bodies: Callable[[Shutdown], Awaitable[None]]) -> None:
    """Run *bodies* until the end is requested; raises what ends one of them before, and ends the others."""
    running = [asyncio.ensure_future(body(shutdown)) for body in bodies]
    try:
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if not shutdown.is_requested:
            for task in ended:
                task.result()
            raise RuntimeError("a part of the process ended before it")
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


class CannotStart(Exception):
    """A process that must not start as it is configured. The message is a sentence for whoever configures it."""


class PortTaken(CannotStart):
    """The port is in use, or may not be bound. The message names the address and the setting."""


def run(main: Callable[[Shutdown], Awaitable[None]], *, drain_s: float) -> int:
    """Run *main* on uvloop until it returns; return the process's exit code.

    After the first signal *main* has *drain_s* seconds to return, then it is cancelled (exit code 70). A second signal
    ends the process at once, with 128 + its number. An exception is logged once and gives exit code 1.

    A thread that *main* has left behind holds the process up for CLOSE_S at most: a name that is looked up at a silent
    server cannot be given up, and takes most of a minute.
    """
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        exit_code = runner.run(_supervised(main, drain_s))
        closed_late = threading.Timer(CLOSE_S, _end, [exit_code])
        closed_late.daemon = True
        closed_late.start()
    closed_late.cancel()
    return exit_code


async def _supervised(main: Callable[[Shutdown], Awaitable[None]], drain_s: float) -> int:
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, _on_signal, shutdown, number)
    work = asyncio.ensure_future(main(shutdown))
    late = asyncio.create_task(_cancel_late(work, shutdown, drain_s))
    try:
        await work
    except asyncio.CancelledError:
        get_logger().error("process.drain_late", drain_s=drain_s)
        return EXIT_DRAIN_LATE
    except CannotStart as error:
        get_logger().error("process.cannot_start", detail=str(error))
        return EXIT_FAILED
    except Exception:  # noqa: BLE001  the boundary of the process
        get_logger().exception("process.failed")
        return EXIT_FAILED
    finally:
        late.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return shutdown.exit_code


async def _cancel_late(work: "asyncio.Future[None]", shutdown: Shutdown, drain_s: float) -> None:
    await shutdown.wait()
    await asyncio.sleep(drain_s)
    work.cancel()


def _on_signal(shutdown: Shutdown, number: signal.Signals) -> None:
    if shutdown.is_requested:
        _end(128 + number)
    get_logger().info("process.shutdown_requested", signal=number.name)
    shutdown.request()


def _end(exit_code: int) -> NoReturn:
    sys.stdout.flush()
    os._exit(exit_code)


@asynccontextmanager
async def event_loop_delay(registry: CollectorRegistry) -> AsyncIterator[None]:
    """Measure, while the body runs, how late the event loop wakes a sleeper: what every request waits at least."""
    task = asyncio.create_task(_measure_delay(delay_histogram(registry)))
    try:
        yield
    finally:
        task.cancel()


def delay_histogram(registry: CollectorRegistry) -> Histogram:
    """Register and return the histogram of the event loop's delay."""
    return Histogram(
        "event_loop_delay_seconds",
        "How late a timer of the event loop fires.",
        buckets=_DELAY_BUCKETS_S,
        registry=registry,
    )


async def _measure_delay(histogram: Histogram) -> None:
    while True:
        before_s = monotonic_s()
        await asyncio.sleep(_DELAY_PERIOD_S)
        histogram.observe(max(0.0, monotonic_s() - before_s - _DELAY_PERIOD_S))
