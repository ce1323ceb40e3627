"""How reads on a projection are answered in HTTP: the headers, problems and check that all of them have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from fastapi import Response

from contracts import problems
from contracts.envelope import rfc3339
from contracts.positions import format_position
from servicekit.failures import RETRY_AFTER_S
from servicekit.health import Check
from servicekit.http.problems import Problem, ProblemMap, raises_as_problems
from servicekit.read_model.projected import Freshness, Projected
from servicekit.read_model.waiting import PositionNotReached

LAG_MS_MAX: Final = 60_000
"""More, and readers see what was long ago: a deep look says so."""


@contextmanager
def read_raises_as_problems(problem_map: ProblemMap) -> Iterator[None]:
    """Raise Problems as `raises_as_problems` does, and `position_not_reached` after a wait in vain."""
    try:
        with raises_as_problems(problem_map):
            yield
    except PositionNotReached:
        detail = "The read model has not reached Min-Position yet."
        raise Problem(problems.POSITION_NOT_REACHED, detail, retry_after_s=RETRY_AFTER_S) from None


def tell_freshness(response: Response, freshness: Freshness) -> None:
    """Put *freshness* into the headers of *response*."""
    if freshness.position:
        response.headers["Ledger-Position"] = format_position(freshness.position.items())
    response.headers["Projection-Lag-Ms"] = str(freshness.lag_ms)


async def lag_check(projected: Projected, *, name: str = "projection") -> Mapping[str, Check]:
    """Return, for a deep look, how far the projection is behind, and up to when it is complete, under *name*."""
    fresh = await projected.freshness()
    until = (
        "not known to be complete"
        if fresh.complete_until is None
        else f"complete until {rfc3339(fresh.complete_until)}"
    )
    return {name: Check(ok=fresh.lag_ms <= LAG_MS_MAX, detail=f"{fresh.lag_ms} ms behind, {until}")}
