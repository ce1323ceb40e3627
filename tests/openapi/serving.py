"""A service's API in this process, on a thread with an event loop of its own, answering on a real port."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

from starlette.types import ASGIApp

from servicekit.lifecycle import Shutdown
from servicekit.serving import serve_http

START_S_MAX: Final = 60
STOP_S_MAX: Final = 30
DRAIN_S: Final = 5


@contextmanager
def served(open_app: Callable[[], AbstractAsyncContextManager[ASGIApp]]) -> Iterator[str]:
    """Give the URL of the application that *open_app* opens, until the body ends."""
    port: Future[int] = Future()
    stop: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=_serve, args=(open_app, port, stop), name="api", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port.result(START_S_MAX)}"
    finally:
        stop.result(START_S_MAX)()
        thread.join(STOP_S_MAX)
        assert not thread.is_alive(), "the API did not stop"


def _serve(
    open_app: Callable[[], AbstractAsyncContextManager[ASGIApp]],
    port: "Future[int]",
    stop: "Future[Callable[[], object]]",
) -> None:
    async def main() -> None:
        shutdown, loop = Shutdown(), asyncio.get_running_loop()
        stop.set_result(lambda: loop.call_soon_threadsafe(shutdown.request))
        async with open_app() as app:
            await serve_http(
                app, host="127.0.0.1", port=0, shutdown=shutdown, drain_s=DRAIN_S, on_ready=port.set_result
            )

    try:
        asyncio.run(main())
    except BaseException as error:
        for future in (port, stop):
            if not future.done():
                future.set_exception(error)
        raise
