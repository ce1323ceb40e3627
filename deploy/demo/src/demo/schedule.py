"""In which order operations may run at once: each waits for the earlier ones that it depends on."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Scheduled(Generic[T]):
    """One piece of work and who waits for it."""

    __slots__ = ("_followers", "_is_done", "alone", "shared", "waits_for", "work")

    def __init__(self, work: T, alone: Iterable[str], shared: Iterable[str]) -> None:
        self.work = work
        self.alone = tuple(alone)
        self.shared = tuple(shared)
        self.waits_for = 0
        self._followers: list[Scheduled[T]] = []
        self._is_done = False

    def follow(self, earlier: "Scheduled[T]") -> None:
        """Do not start before *earlier* is done."""
        if not earlier._is_done:  # noqa: SLF001 - the same class
            earlier._followers.append(self)  # noqa: SLF001 - the same class
            self.waits_for += 1

    def finish(self) -> "list[Scheduled[T]]":
        """Mark as done; return the work that may start now."""
        self._is_done = True
        for follower in self._followers:
            follower.waits_for -= 1
        # A follower that shares two names with this one is here twice.
        return [follower for follower in dict.fromkeys(self._followers) if follower.waits_for == 0]


class _Queue(Generic[T]):
    """The unfinished work of one name: the last that has it alone, and those that share it since."""

    __slots__ = ("alone", "shared")

    def __init__(self) -> None:
        self.alone: Scheduled[T] | None = None
        self.shared: list[Scheduled[T]] = []


class Schedule(Generic[T]):
    """Hands out work so that what names the same thing keeps its order; at most *ahead* pieces are known at once.

    A name taken alone is waited for by every later piece of work with that name; those that share a name run side by
    side.
    """

    def __init__(self, *, ahead: int) -> None:
        self._names: dict[str, _Queue[T]] = {}
        self._room = asyncio.Semaphore(ahead)
        self._ready: asyncio.Queue[Scheduled[T] | None] = asyncio.Queue()
        self._open = 0
        self._is_complete = False

    async def add(self, work: T, *, alone: Iterable[str], shared: Iterable[str] = ()) -> None:
        """Add the next piece of work; wait until there is room."""
        await self._room.acquire()
        scheduled = Scheduled(work, alone, shared)
        self._open += 1
        for name in scheduled.alone:
            self._take_alone(scheduled, self._names.setdefault(name, _Queue()))
        for name in scheduled.shared:
            self._share(scheduled, self._names.setdefault(name, _Queue()))
        if scheduled.waits_for == 0:
            self._ready.put_nowait(scheduled)

    def complete(self) -> None:
        """Add nothing more: `ready` ends after the last piece of work."""
        self._is_complete = True
        self._end_if_empty()

    def done(self, scheduled: Scheduled[T]) -> None:
        """Let the work that waits for *scheduled* start."""
        for follower in scheduled.finish():
            self._ready.put_nowait(follower)
        for name in {*scheduled.alone, *scheduled.shared}:
            self._forget(scheduled, name)
        self._open -= 1
        self._room.release()
        self._end_if_empty()

    async def ready(self) -> AsyncIterator[Scheduled[T]]:
        """Give one piece of work after another that may run; several takers may ask at once."""
        while (scheduled := await self._ready.get()) is not None:
            yield scheduled
        self._ready.put_nowait(None)  # for the next taker

    def _take_alone(self, scheduled: Scheduled[T], queue: _Queue[T]) -> None:
        for earlier in queue.shared:
            scheduled.follow(earlier)
        if queue.alone is not None and not queue.shared:  # those that share follow it already
            scheduled.follow(queue.alone)
        queue.alone, queue.shared = scheduled, []

    def _share(self, scheduled: Scheduled[T], queue: _Queue[T]) -> None:
        if queue.alone is not None:
            scheduled.follow(queue.alone)
        queue.shared.append(scheduled)

    def _forget(self, scheduled: Scheduled[T], name: str) -> None:
        queue = self._names.get(name)
        if queue is None:
            return
        if queue.alone is scheduled:
            queue.alone = None
        if scheduled in queue.shared:
            queue.shared.remove(scheduled)
        if queue.alone is None and not queue.shared:
            del self._names[name]

    def _end_if_empty(self) -> None:
        if self._is_complete and self._open == 0:
            self._ready.put_nowait(None)
