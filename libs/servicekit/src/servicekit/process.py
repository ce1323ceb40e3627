"""Processes: one event loop, a graceful end with a deadline, and HTTP served on it.

`run(main)` gives *main* a `Shutdown`; SIGTERM or SIGINT requests it, a second signal ends the process at once.
"""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp

from servicekit.clock import monotonic_s
from servicekit.http.edge.connection import ConnectionLimits, LimitedProtocol
from servicekit.telemetry import get_logger

EXIT_FAILED: Final = 1
EXIT_DRAIN_LATE: Final = 70
KEEP_ALIVE_S: Final = 75
"""Longer than a gateway's, so that the gateway is the one who closes an idle connection."""
BACKLOG: Final = 2048
_OTHER_FILES: Final = 256
"""Sockets to the database and the broker, and what the process has open itself."""
_REQUESTS_SHARE: Final = 0.7
"""Of the drain: the rest is for closing what stands behind the requests."""
_GC_ALLOCATIONS: Final = 20_000
_GC_YOUNG_ROUNDS: Final = 20
_GC_MIDDLE_ROUNDS: Final = 50
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
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
        """Sleep, or return early when the end is requested; tell whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        return self._requested.is_set()


class PortTaken(Exception):  # noqa: N818  it names what is wrong with the world
    """The port is in use, or may not be bound. The message names the address and the setting."""


def run(main: Callable[[Shutdown], Awaitable[None]], *, drain_s: float) -> int:
    """Run *main* on uvloop until it returns; return the process's exit code.

    After the first signal *main* has *drain_s* seconds to return, then it is cancelled (exit code 70). A second signal
    ends the process at once, with 128 + its number. An exception is logged once and gives exit code 1.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervised(main, drain_s))


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
    except PortTaken as error:
        get_logger().error("process.port_taken", detail=str(error))
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
        sys.stdout.flush()
        os._exit(128 + number)
    get_logger().info("process.shutdown_requested", signal=number.name)
    shutdown.request()


class _Server(uvicorn.Server):
    """Leaves the signals to the process and never exits it."""

    @property
    def is_up(self) -> bool:
        return self.started


async def serve_http(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    shutdown: Shutdown,
    drain_s: float,
    port_setting: str = "PORT",
    on_ready: Callable[[int], None] | None = None,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008  it is frozen
) -> None:
    """Serve *app* until *shutdown*, then finish the requests under way within 0.7 of *drain_s*.

    Raises PortTaken naming *port_setting*. *on_ready* gets the port once requests are taken: port 0 finds a free one.
    """
    make_room_for(limits.connections_max)
    listener = listen(host, port, port_setting)
    server = _Server(_config(app, drain_s, limits))
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001  serve() would take the signals
    ending = asyncio.create_task(shutdown.wait())
    try:
        await _until_up(server, serving)
        tame_garbage_collection()
        if on_ready is not None:
            on_ready(listener.getsockname()[1])
        get_logger().info("http.serving", host=host, port=listener.getsockname()[1])
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        ending.cancel()
        serving.cancel()
        listener.close()


def make_room_for(connections: int) -> None:
    """Let the process have *connections* sockets and what it needs besides, as far as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int, port_setting: str) -> socket.socket:
    """Return a listening socket; raise PortTaken where the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(f"{host}:{port} cannot be bound ({error.strerror}): set {port_setting}") from error
    listener.setblocking(False)
    return listener


def _config(app: ASGIApp, drain_s: float, limits: ConnectionLimits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(LimitedProtocol, limits=limits),  # type: ignore[arg-type]  # it is called as the class is
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, int(drain_s * _REQUESTS_SHARE)),
    )


def tame_garbage_collection() -> None:
    """Leave what was loaded at start out of every collection, and collect for each batch of requests, not for each."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, _GC_YOUNG_ROUNDS, _GC_MIDDLE_ROUNDS)


async def _until_up(server: _Server, serving: "asyncio.Task[None]") -> None:
    while not server.is_up:
        if serving.done():
            await serving
            raise RuntimeError("the server ended before it was up")
        await asyncio.sleep(0.005)


@asynccontextmanager
async def event_loop_delay(registry: CollectorRegistry) -> AsyncIterator[None]:
    """Measure, while the body runs, how late the event loop wakes a sleeper: what every request waits at least."""
    histogram = Histogram(
        "event_loop_delay_seconds",
        "How late a timer of the event loop fires.",
        buckets=_DELAY_BUCKETS_S,
        registry=registry,
    )
    task = asyncio.create_task(_measure_delay(histogram))
    try:
        yield
    finally:
        task.cancel()


async def _measure_delay(histogram: Histogram) -> None:
    while True:
        before_s = monotonic_s()
        await asyncio.sleep(_DELAY_PERIOD_S)
        histogram.observe(max(0.0, monotonic_s() - before_s - _DELAY_PERIOD_S))
