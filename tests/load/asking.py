"""Readers that ask the history the same question: as fast as they are answered, or at a pace."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from tests.load.past import Past

from servicekit.clock import monotonic_s

ASKED: Final = 200
"""Requests of each kind."""
_OK: Final = frozenset({200, 304})


@dataclass(frozen=True, slots=True)
class Took:
    """What requests took, and how many were answered a second."""

    p50_ms: float
    p99_ms: float
    per_s: float


async def closed_loop(past: Past, path: str, readers: int, *, asked: int = ASKED, **headers: str) -> Took:
    """Have *readers* ask as fast as they are answered."""
    numbers = count()
    took_s: list[float] = []

    async def read() -> None:
        while next(numbers) < asked:
            took_s.append(await _timed(past, path, headers))

    return await _took(lambda: asyncio.gather(*(read() for _ in range(readers))), took_s)


async def paced(past: Past, path: str, readers: int, *, per_s: float, asked: int = ASKED) -> Took:
    """Have *readers* ask *per_s* in all, each at its own times."""
    took_s: list[float] = []

    async def read(place: int) -> None:
        interval_s = readers / per_s
        begin_s = monotonic_s() + interval_s * place / readers
        for number in range(asked // readers):
            await asyncio.sleep(max(0.0, begin_s + number * interval_s - monotonic_s()))
            took_s.append(await _timed(past, path, {}))

    return await _took(lambda: asyncio.gather(*(read(place) for place in range(readers))), took_s)


async def _timed(past: Past, path: str, headers: dict[str, str]) -> float:
    began_s = monotonic_s()
    answer = await past.ask(path, **headers)
    assert answer.status in _OK, answer.body
    return monotonic_s() - began_s


async def _took(work: Callable[[], Awaitable[object]], took_s: list[float]) -> Took:
    began_s = monotonic_s()
    await work()
    elapsed_s = monotonic_s() - began_s
    took_s.sort()
    return Took(
        p50_ms=took_s[len(took_s) // 2] * 1e3,
        p99_ms=took_s[int(len(took_s) * 0.99)] * 1e3,
        per_s=len(took_s) / elapsed_s,
    )
