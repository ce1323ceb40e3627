"""Walking a list both ways, a page at a time: what to read for a page, and what was read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Walk(Generic[P]):
    """Up to *limit* rows behind *position*, or the first ones; *limit* is one more than the page shows.

    With *is_back* they are those before it, the nearest first, with *is_included* that at *position* too.
    """

    position: P | None
    is_back: bool
    is_included: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Walked(Generic[Row, P]):
    """The rows that were read, the nearest first; *position_of* tells where in the list a row stands.

    *looked_to* is where reading ended before the page was full; None at the list's end.
    """

    rows: Sequence[Row]
    position_of: Callable[[Row], P]
    looked_to: P | None = None
