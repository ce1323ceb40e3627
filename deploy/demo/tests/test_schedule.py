import asyncio
from random import Random

import pytest

from demo.model import Model
from demo.operations import (
    Asked,
    Batch,
    Capture,
    Convert,
    Deposit,
    Freeze,
    Hold,
    Open,
    Payee,
    Payment,
    Policy,
    Quote,
    Refund,
    Tier,
    Transfer,
    Void,
    Withdrawal,
)
from demo.schedule import Schedule
from demo.touching import touched

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
    model = Model()
    assert touched(Deposit("a", "1", "USD"), model) == (none, a)
    assert touched(Withdrawal("a", "1", "USD"), model) == (a, none)
    assert touched(Freeze("a", "all"), model) == (a, none)
    assert touched(Transfer("a", "b", "1", "USD"), model) == (a, b)
    assert touched(batch, model) == (a | b, frozenset("c"))


def test_what_a_line_made_is_touched_alone_and_payees_are_shared() -> None:
    model = Model()
    for name in "abc":
        model.apply(Open(name, "owner", "USD"))
    model.apply(Deposit("a", "9.00", "USD"), line=1)
    model.apply(Hold("a", "5.00", "USD"), line=2)
    payees = (Payee("b", "1.00"), Payee(), Payee("c", share_ppm=1_000_000))

    def alone_and_shared(operation: Asked) -> tuple[set[str], set[str]]:
        alone, shared = touched(operation, model)
        return set(alone), set(shared)

    assert alone_and_shared(Payment("a", "2.00", "USD", payees)) == ({"a"}, {"b", "c"})
    assert alone_and_shared(Hold("a", "1.00", "USD")) == ({"a"}, set())
    assert alone_and_shared(Capture(2, payees, "USD")) == ({"key 2", "a"}, {"b", "c"})
    assert alone_and_shared(Void(2)) == ({"key 2", "a"}, set())
    assert alone_and_shared(Refund(1, "USD")) == ({"key 1", "a"}, set())
    assert alone_and_shared(Quote("USD", "EUR", "1.00")) == (set(), set())
    assert alone_and_shared(Convert(3, "a", "b")) == ({"key 3", "a"}, {"b"})
    assert alone_and_shared(Tier("owner", "gold")) == ({"a", "b", "c"}, set())


def test_debits_of_one_owner_wait_for_each_other_where_they_are_counted_together() -> None:
    model = Model()
    limits = ({"scope": "owner", "operation": "debit", "currency": "USD", "day_count": 9},)
    model.apply(Policy("tiers", 0, ({"name": "gold", "limits": limits},)))
    for name, owner in (("a", "owner"), ("b", "other")):
        model.apply(Open(name, owner, "USD"))
    model.apply(Tier("owner", "gold"))

    assert touched(Transfer("a", "b", "1.00", "USD"), model) == (frozenset({"a", "owner owner"}), frozenset("b"))
    assert touched(Transfer("b", "a", "1.00", "USD"), model) == (frozenset("b"), frozenset("a"))
