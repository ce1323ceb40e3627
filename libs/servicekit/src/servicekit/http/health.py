"""Health: what a process can say of itself, asked in bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from contracts import problems
from servicekit.http.problems import Problem, problem_from

CHECK_TIMEOUT_S: Final = 2.0


class Check(msgspec.Struct, frozen=True):
    """The state of one thing a process needs, with a word for the operator."""

    ok: bool
    detail: str


HealthCheck = Callable[[], Awaitable[Mapping[str, Check]]]
"""Looks at everything a process needs, by name. One that raises or hangs is unhealthy."""


async def checked(check: HealthCheck) -> bytes:
    """Return the JSON of a healthy *check*; raise Problem `unavailable` with the checks when one is not ok."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            checks = dict(await check())
    except TimeoutError:
        checks = {"health": Check(ok=False, detail=f"The check took more than {CHECK_TIMEOUT_S} s.")}
    except Exception as error:  # noqa: BLE001  whatever breaks a check is what the check is for
        checks = {"health": Check(ok=False, detail=problem_from(error).detail)}
    if all(state.ok for state in checks.values()):
        return msgspec.json.encode({"status": "ok", "checks": checks})
    raise Problem(problems.UNAVAILABLE, "The process is not healthy.", checks=checks)


async def healthy() -> Mapping[str, Check]:
    """Return no checks: for a process that needs nothing but itself."""
    return {}
