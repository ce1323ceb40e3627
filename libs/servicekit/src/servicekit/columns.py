"""From rows to the arrays that a statement unnests."""

from collections.abc import Collection
from operator import attrgetter
from typing import Any


def columns(rows: Collection[object], *names: str) -> list[list[Any]]:
    """Return the values of each of *names*, in the order of *rows*."""
    return [list(map(attrgetter(name), rows)) for name in names]
