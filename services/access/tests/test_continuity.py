"""A database that was restored behind the topic: nobody is admitted by it, and the topic's state is taken over."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from access.continuity.continuity import Continuity, compared
from access.continuity.taking_over import NotTaken, TakingOver
from contracts.ids import new_id
from servicekit.access.projection import AccessProjection, access_projection_name
from servicekit.failures import Halted
from servicekit.postgres import Pool
from servicekit.relay import halts
from servicekit.relay.halts import TopicEnd
from servicekit.relay.publisher import PublishError
from servicekit.relay.topic_positions import PlacedEvent
from testkit.databases import Database

pytestmark = pytest.mark.integration


class Ends:
    """A topic that ends with *records*, or one that cannot be read."""

    def __init__(self, *records: TopicEnd) -> None:
        self.records: Sequence[TopicEnd] = records
        self.is_away = False
        self.asked = 0

    async def ends(self) -> Sequence[TopicEnd]:
        self.asked += 1
        if self.is_away:
            raise PublishError("KafkaConnectionError")
        return self.records


def end() -> TopicEnd:
    return TopicEnd(topic="t", partition=3, offset=9, shard=3, sequence=1, event_id=new_id())


async def require(continuity: Continuity, pool: Pool) -> None:
    async with pool.connection() as connection:
        await continuity.require(connection)


async def test_nothing_is_done_before_the_database_was_compared(pool: Pool) -> None:
    continuity = Continuity(pool, Ends())
    with pytest.raises(Halted):
        await require(continuity, pool)
    await continuity.compare()
    await require(continuity, pool)
    await continuity.required(continuity.times)
    assert continuity.check().ok


async def test_a_topic_that_cannot_be_read_lets_nothing_be_done(pool: Pool) -> None:
    ends = Ends()
    ends.is_away = True
    continuity = Continuity(pool, ends)
    with pytest.raises(PublishError):
        await continuity.compare()
    with pytest.raises(Halted, match="The broker does not answer"):
        await compared(continuity)
    with pytest.raises(Halted):
        await require(continuity, pool)
    assert not continuity.check().ok


async def test_what_was_compared_is_not_compared_again(pool: Pool) -> None:
    ends = Ends()
    continuity = Continuity(pool, ends)
    for _ in range(3):
        await continuity.compare()
    assert (ends.asked, continuity.times) == (1, 1)


async def test_a_record_that_the_outbox_lacks_halts_for_all(pool: Pool) -> None:
    lacking = end()
    continuity = Continuity(pool, Ends(lacking))
    with pytest.raises(Halted):
        await continuity.compare()
    with pytest.raises(Halted):
        await require(continuity, pool)
    async with pool.connection() as connection:
        assert [halt.event_id for halt in await halts.active(connection)] == [lacking.event_id]
    with pytest.raises(Halted):  # an instance that starts now, and sees nothing of the topic
        await Continuity(pool, Ends()).compare()


async def test_another_file_of_the_outbox_is_compared_before_it_is_used(pool: Pool, database: Database) -> None:
    forgotten: list[bool] = []
    continuity = Continuity(pool, Ends())
    continuity.forgets(lambda: forgotten.append(True))
    await continuity.compare()
    times = continuity.times
    owner = await asyncpg.connect(database.dsn_admin)
    try:
        await owner.execute("vacuum full servicekit.outbox")
    finally:
        await owner.close()
    with pytest.raises(Halted):
        await require(continuity, pool)
    await continuity.compare()
    await require(continuity, pool)
    with pytest.raises(Halted):  # what was asked before is asked of another database
        await continuity.required(times)
    assert len(forgotten) == 2


class Polls:
    """A topic that has *events*."""

    def __init__(self, *events: PlacedEvent) -> None:
        self._events = events

    async def events(self) -> AsyncIterator[Sequence[PlacedEvent]]:
        yield self._events


def taking(pool: Pool, *events: PlacedEvent) -> TakingOver:
    return TakingOver(pool, Polls(*events), AccessProjection(access_projection_name("access")))


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([PlacedEvent(3, 2, new_id(), None)], "does not follow 0"),
        ([PlacedEvent(3, 1, new_id(), None)], "cannot be read by this release"),
    ],
)
async def test_what_cannot_follow_is_not_taken_and_the_halt_stays(
    pool: Pool, events: list[PlacedEvent], why: str
) -> None:
    with pytest.raises(Halted):
        await Continuity(pool, Ends(end())).compare()
    with pytest.raises(NotTaken, match=why):
        await taking(pool, *events).run("an operator")
    async with pool.connection() as connection:
        assert len(await halts.active(connection)) == 1


async def test_where_nothing_is_halted_nothing_is_taken(pool: Pool) -> None:
    taken = await taking(pool, PlacedEvent(3, 1, new_id(), None)).run("an operator")
    assert (taken.events, taken.halts) == (0, 0)
