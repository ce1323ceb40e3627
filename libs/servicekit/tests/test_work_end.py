"""A process whose work has ended ends too, whatever ended it, and says so with its exit code."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from servicekit.lifecycle import Shutdown
from servicekit.relay.errors import LeasesLost
from servicekit.service.processes import end_with


async def returns() -> None:
    """Come to an end without a reason."""


async def fails() -> None:
    raise ZeroDivisionError


async def ends_with_a_code() -> None:
    raise LeasesLost("stood still")


async def is_cancelled_from_within() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("work", "exit_code"), [(returns, 1), (fails, 1), (ends_with_a_code, 75), (is_cancelled_from_within, 1)]
)
async def test_work_that_ends_of_itself_ends_the_process(work: Callable[[], Awaitable[None]], exit_code: int) -> None:
    shutdown = Shutdown()
    end_with(asyncio.ensure_future(work()), "probe", shutdown)

    await shutdown.wait()

    assert shutdown.exit_code == exit_code


async def test_work_that_ends_because_it_was_asked_to_is_no_failure() -> None:
    shutdown = Shutdown()
    working, cancelled = asyncio.ensure_future(shutdown.wait()), asyncio.ensure_future(asyncio.Event().wait())
    for task in (working, cancelled):
        end_with(task, "probe", shutdown)  # type: ignore[arg-type]

    shutdown.request()
    cancelled.cancel()
    await asyncio.wait([working, cancelled])
    await asyncio.sleep(0)

    assert shutdown.exit_code == 0
