"""A mapping of bounded size that lets go of what was put into it longest ago."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """Holds at least the *generation_max* keys put last, and at most about twice as many.

    Two generations: when the young one is full, it takes the old one's place, which is dropped whole.
    """

    def __init__(self, generation_max: int) -> None:
        self._generation_max = generation_max
        self._young: dict[KeyT, ValueT] = {}
        self._old: dict[KeyT, ValueT] = {}

    def __contains__(self, key: KeyT) -> bool:
        return key in self._young or key in self._old

    def get(self, key: KeyT) -> ValueT | None:
        """Return what was put under *key* last, or None."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def update(self, items: Mapping[KeyT, ValueT]) -> None:
        """Put all of *items*."""
        self._young.update(items)
        if len(self._young) > self._generation_max:
            self._old, self._young = self._young, {}

    def discard(self, keys: Iterable[KeyT]) -> None:
        """Let go of *keys*."""
        for key in keys:
            self._young.pop(key, None)
            self._old.pop(key, None)
