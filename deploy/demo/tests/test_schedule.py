import asyncio
from random import Random

import pytest

from demo.operations import Batch, Deposit, Freeze, Transfer, Withdrawal, touched
from demo.schedule import Schedule

NAMES = "abcdef"


async def play(works: list[tuple[int, set[str], set[str]]], *, takers: int, ahead: int) -> list[tuple[str, int]]:
    """Run *works* (number, names alone, names shared) and return what began and ended, in that order."""
    schedule: Schedule[int] = Schedule(ahead=ahead)
    log: list[tuple[str, int]] = []
    random = Random(7)

    async def take() -> None:
        async for scheduled in schedule.ready():
            log.append(("begin", scheduled.work))
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            log.append(("end", scheduled.work))
            schedule.done(scheduled)

    async with asyncio.TaskGroup() as group:
        for _ in range(takers):
            group.create_task(take())
        for number, alone, shared in works:
            await schedule.add(number, alone=alone, shared=shared)
        schedule.complete()
    return log


@pytest.mark.parametrize("seed", range(20))
async def test_what_names_the_same_keeps_its_order_and_all_of_it_is_done(seed: int) -> None:
    random = Random(seed)
    works = []
    for number in range(150):
        names = random.sample(NAMES, random.randint(1, 3))
        cut = random.randint(0, len(names))
        works.append((number, set(names[:cut]), set(names[cut:])))

    log = await play(works, takers=8, ahead=random.choice([1, 5, 200]))

    begun = {number: place for place, (what, number) in enumerate(log) if what == "begin"}
    ended = {number: place for place, (what, number) in enumerate(log) if what == "end"}
    assert sorted(begun) == sorted(ended) == list(range(150))
    for later, later_alone, later_shared in works:
        for earlier, alone, shared in works[:later]:
            if alone & (later_alone | later_shared) or shared & later_alone:
                assert ended[earlier] < begun[later]


async def test_those_that_share_a_name_run_side_by_side() -> None:
    works: list[tuple[int, set[str], set[str]]] = [(number, set(), {"hot"}) for number in range(4)]

    log = await play(works, takers=4, ahead=10)

    assert max(place for place, (what, _) in enumerate(log) if what == "begin") < 7


async def test_nothing_to_do_ends_at_once() -> None:
    assert await play([], takers=3, ahead=1) == []


def test_credits_share_a_wallet_and_all_else_has_it_alone() -> None:
    batch = Batch("atomic", (Transfer("a", "b", "1", "USD"), Transfer("b", "c", "1", "USD")))

    none: frozenset[str] = frozenset()
    a, b = frozenset("a"), frozenset("b")
    assert touched(Deposit("a", "1", "USD")) == (none, a)
    assert touched(Withdrawal("a", "1", "USD")) == (a, none)
    assert touched(Freeze("a", "all")) == (a, none)
    assert touched(Transfer("a", "b", "1", "USD")) == (a, b)
    assert touched(batch) == (a | b, frozenset("c"))
