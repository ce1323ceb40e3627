"""What a process can say of its own health, whoever asks."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec


class Check(msgspec.Struct, frozen=True):
    """The state of one thing a process needs, with a word for the operator."""

    ok: bool
    detail: str


HealthCheck = Callable[[], Awaitable[Mapping[str, Check]]]
"""Looks at everything a process needs, by name. One that raises or hangs is unhealthy."""


async def healthy() -> Mapping[str, Check]:
    """Return no checks: for a process that needs nothing but itself."""
    return {}
