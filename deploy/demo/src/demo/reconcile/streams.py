"""Sorted streams side by side."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

L = TypeVar("L")
R = TypeVar("R")
T = TypeVar("T")


async def merged(
    left: AsyncIterator[L], right: AsyncIterator[R], left_key: Callable[[L], Any], right_key: Callable[[R], Any]
) -> AsyncIterator[tuple[L | None, R | None]]:
    """Pair two streams that ascend by their keys; what has no partner comes with None, a repeated key included."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and left_key(one) < right_key(other)):
            yield one, None
            one = await anext(left, None)
        elif one is None or right_key(other) < left_key(one):
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)


async def grouped(rows: AsyncIterator[T], key: Callable[[T], Any]) -> AsyncIterator[tuple[Any, list[T]]]:
    """Give runs of equal keys as lists."""
    group: list[T] = []
    async for row in rows:
        if group and key(group[0]) != key(row):
            yield key(group[0]), group
            group = []
        group.append(row)
    if group:
        yield key(group[0]), group


async def each(rows: Iterable[T]) -> AsyncIterator[T]:
    """Give *rows* as a stream."""
    for row in rows:
        yield row
