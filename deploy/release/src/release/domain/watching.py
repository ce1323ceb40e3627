"""Whether clients are worse off than before, by what the gateway told them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FAILED_PERCENT_MAX: Final = 1
"""Of the requests, answered 5xx."""
SLOWER_MAX: Final = 10
"""Times as long as before."""
P99_MS_MAX: Final = 1_000
"""What is below is not taken for slow, whatever it was before: a new process warms up."""
REQUESTS_MIN: Final = 50
"""Of fewer nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One request as the gateway answered it."""

    at_s: int
    status: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a time came to."""

    requests: int
    failed: int
    p99_ms: int


def figures_of(answered: Sequence[Answered]) -> Figures:
    """Return the figures of some requests."""
    took_ms = sorted(each.took_ms for each in answered)
    p99_ms = took_ms[len(took_ms) * 99 // 100] if took_ms else 0
    return Figures(len(took_ms), sum(each.status >= 500 for each in answered), p99_ms)  # noqa: PLR2004  HTTP's own


def worse(now: Figures, calm_p99_ms: int | None) -> str | None:
    """Return in what respect clients are worse off than before; None where they are not, or too few have come."""
    if now.requests < REQUESTS_MIN:
        return None
    if now.failed * 100 > FAILED_PERCENT_MAX * now.requests:
        return f"{now.failed} of {now.requests} requests failed"
    bound_ms = max(P99_MS_MAX, SLOWER_MAX * (calm_p99_ms or 0))
    if now.p99_ms > bound_ms:
        return f"p99 is {now.p99_ms} ms, the bound {bound_ms} ms"
    return None
