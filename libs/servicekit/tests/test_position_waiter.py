"""Readers wait for a position: one poll serves them all, within bounds."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from servicekit.failures import Overloaded, Unavailable
from servicekit.read_model.waiting import PositionNotReached, PositionWaiter


class Projection:
    """A projection whose checkpoints the test moves."""

    def __init__(self) -> None:
        self.reached: dict[int, int] = {}
        self.polled = asyncio.Event()
        self.asked: set[int] = set()

    async def checkpoints(self, shards: Collection[int]) -> Mapping[int, int]:
        self.polled.set()
        self.asked = set(shards)
        return dict(self.reached)

    async def next_poll(self) -> None:
        """Return when the checkpoints are asked for the next time."""
        self.polled.clear()
        await self.polled.wait()


async def test_a_position_already_reached_answers_the_checkpoints() -> None:
    projection = Projection()
    projection.reached = {3: 17, 4: 2}
    waiter = PositionWaiter(projection.checkpoints)

    assert await waiter.wait_for({3: 17}) == {3: 17, 4: 2}
    await waiter.close()


async def test_a_reader_waits_until_every_shard_is_reached() -> None:
    projection = Projection()
    waiter = PositionWaiter(projection.checkpoints, wait_s=30)
    reading = asyncio.create_task(waiter.wait_for({3: 17, 4: 1}))
    await projection.next_poll()

    projection.reached = {3: 17}
    await projection.next_poll()
    await projection.next_poll()  # the answer of the one before was judged
    assert not reading.done()

    projection.reached = {3: 17, 4: 1}
    assert await reading == {3: 17, 4: 1}
    await waiter.close()


async def test_only_the_shards_that_readers_wait_for_are_asked_for() -> None:
    projection = Projection()
    projection.reached = {3: 17, 4: 1, 5: 8}
    waiter = PositionWaiter(projection.checkpoints)

    await asyncio.gather(waiter.wait_for({3: 17}), waiter.wait_for({4: 1}))

    assert projection.asked == {3, 4}
    await waiter.close()


async def test_a_position_never_reached_is_a_refusal() -> None:
    waiter = PositionWaiter(Projection().checkpoints, wait_s=0.01)

    with pytest.raises(PositionNotReached):
        await waiter.wait_for({3: 1})

    assert waiter.waiting == 0
    await waiter.close()


async def test_a_reader_may_wait_for_a_share_of_the_bound() -> None:
    waiter = PositionWaiter(Projection().checkpoints, wait_s=3_600)

    with pytest.raises(PositionNotReached):
        await waiter.wait_for({3: 1}, share=1e-6)

    await waiter.close()


async def test_too_many_readers_are_turned_away() -> None:
    projection = Projection()
    waiter = PositionWaiter(projection.checkpoints, wait_s=30, waiters_max=1)
    first = asyncio.create_task(waiter.wait_for({3: 1}))
    await projection.next_poll()

    with pytest.raises(Overloaded):
        await waiter.wait_for({3: 1})

    first.cancel()
    await waiter.close()


async def test_a_database_that_is_away_is_every_readers_failure() -> None:
    async def away(_shards: Collection[int]) -> Mapping[int, int]:
        raise Unavailable("gone")

    waiter = PositionWaiter(away)

    outcomes = await asyncio.gather(waiter.wait_for({1: 1}), waiter.wait_for({2: 1}), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    await waiter.close()
