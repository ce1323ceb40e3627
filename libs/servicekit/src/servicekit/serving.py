"""HTTP served in a process until its end is requested."""

import asyncio
import gc
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from servicekit.http.edge.connection import ConnectionLimits, LimitedProtocol
from servicekit.lifecycle import PortTaken, Shutdown
from servicekit.telemetry import get_logger

KEEP_ALIVE_S: Final = 75
"""Longer than a gateway's, so that the gateway is the one who closes an idle connection."""
BACKLOG: Final = 2048
_OTHER_FILES: Final = 256
"""Sockets to the database and the broker, and what the process has open itself."""
_REQUESTS_SHARE: Final = 0.7
"""Of the drain: the rest is for closing pools and clients."""
_GC_ALLOCATIONS: Final = 20_000
_GC_YOUNG_ROUNDS: Final = 20
_GC_MIDDLE_ROUNDS: Final = 50


@dataclass(frozen=True, slots=True)
class Tls:
    """What a server proves itself with: its certificate with the chain, and the key, each a file (PEM)."""

    cert_file: Path
    key_file: Path


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
    tls: Tls | None = None,
) -> None:
    """Serve *app* until *shutdown*, then finish the requests under way within 0.7 of *drain_s*.

    It speaks TLS with *tls*, else plain HTTP. Raises PortTaken naming *port_setting*, and OSError or ssl.SSLError for
    files of *tls* that are none. *on_ready* gets the port once requests are taken: port 0 finds a free one.
    """
    make_room_for(limits.connections_max)
    listener = listen(host, port, port_setting)
    server = _Server(_config(app, drain_s, limits, tls))
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
    """Return a listening socket; raises PortTaken if the port is in use."""
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


def _config(app: ASGIApp, drain_s: float, limits: ConnectionLimits, tls: Tls | None) -> uvicorn.Config:
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
        ssl_certfile=None if tls is None else tls.cert_file,
        ssl_keyfile=None if tls is None else tls.key_file,
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
