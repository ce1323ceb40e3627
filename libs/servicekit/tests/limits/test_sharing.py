"""Several instances share the buckets of one table: simulated time, against a model of the table and the real one.

The model is written from what `servicekit.settle_rates` promises, and is compared with it.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

import pytest

from servicekit.limits import Admitted, BeyondBurst, Charge, Limit, Limited, Limits, Rate, RatePolicy
from servicekit.limits.bucket import Share
from servicekit.limits.buckets import Answer, Report
from servicekit.postgres import Connection

PERIOD_US = 100_000
STEP_US = 1_000
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
ID = b"somebody"
RATES = [
    Rate.of(1_000, burst=2_000),
    Rate.of(50, burst=100),
    Rate.of(20, burst=40),
    Rate.of(1, burst=60),
    Rate.of(100, burst=50),
    Rate.of(10, burst=10),
]


class Table(Protocol):
    """What settles, by the time it is given."""

    async def settle(
        self, now_us: int, instance: int, reports: Sequence[Report]
    ) -> tuple[list[Answer | None], int]: ...


class ModelTable:
    """The table in memory."""

    def __init__(self) -> None:
        self.states: dict[tuple[Limit, bytes], int] = {}
        self.seen: dict[int, int] = {}

    async def settle(self, now_us: int, instance: int, reports: Sequence[Report]) -> tuple[list[Answer | None], int]:
        self.seen[instance] = now_us
        live = sum(abs(seen_us - now_us) < 2 * SECOND_US for seen_us in self.seen.values())
        return [self._settled(now_us, live, report) for report in reports], live

    def _settled(self, now_us: int, live: int, report: Report) -> Answer:
        key, rate = (report.bucket.limit, report.bucket.id), report.bucket.share.rate
        most_us = now_us + 2 * rate.whole_again_us
        state = min(max(self.states.get(key, 0), now_us), most_us) + report.debit * rate.emission_us
        state = min(max(state, now_us), most_us)
        units = (rate.whole_again_us - (state - now_us)) // rate.emission_us
        granted = max(0, min(units, report.room, max(-(-units // live), report.short)))
        self.states[key] = state + granted * rate.emission_us
        return Answer(granted, units - granted)


class RealTable:
    """The function in force, called as the settler calls it but for the time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def settle(self, now_us: int, instance: int, reports: Sequence[Report]) -> tuple[list[Answer | None], int]:
        rows = await self._connection.fetch(
            "select * from servicekit.settle_rates($1, $2, $3, $4, $5, $6, $7, $8, $9) order by ordinal",
            now_us,
            UUID(int=instance),
            [int(report.bucket.limit) for report in reports],
            [report.bucket.id for report in reports],
            [report.bucket.share.rate.emission_us for report in reports],
            [report.bucket.share.rate.burst for report in reports],
            [report.debit for report in reports],
            [report.room for report in reports],
            [report.short for report in reports],
        )
        return [Answer(row["granted"], row["units_left"]) for row in rows if row["ordinal"]], rows[0]["instances"]


class Instance:
    """One process: its monotonic clock began at some other moment than anybody else's."""

    def __init__(self, number: int, policy: RatePolicy, *, clock_ahead_us: int) -> None:
        self.number = number
        self.now_us = 0
        self.clock_ahead_us = clock_ahead_us
        self.limits = Limits(policy, clock=lambda: self.now_us + self.clock_ahead_us)
        self.is_alive = True
        self._pending: list[Report] | None = None

    @property
    def clock_us(self) -> int:
        return self.now_us + self.clock_ahead_us

    def begin(self) -> None:
        self.limits.buckets.refill(self.clock_us)
        self._pending = self.limits.buckets.reports(self.clock_us)

    async def end(self, table: Table | None, now_us: int) -> None:
        """Settle what was begun, or lose it where the table is away."""
        if self._pending is None:
            return
        reports, self._pending = self._pending, None
        if table is None:
            self.limits.buckets.lost(reports, self.clock_us)
        else:
            answers, live = await table.settle(now_us, self.number, reports)
            self.limits.buckets.settled(reports, answers, live, self.clock_us)


@dataclass(kw_only=True)
class World:
    """Instances that settle in turn, each every 100 ms and with an answer after 5 ms, and what they admitted."""

    table: Table
    policy: RatePolicy
    instances: int = 4
    seed: int = 1
    is_away: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now_us = 1_700_000_000 * SECOND_US
        self.admitted: list[tuple[int, int]] = []
        self.processes = [Instance(n, self.policy, clock_ahead_us=(n % 3 - 1) * HOUR_US) for n in range(self.instances)]

    async def pass_ms(self, milliseconds: int, ask: Callable[["World"], None]) -> None:
        """Let time pass, and call *ask* every millisecond."""
        for _ in range(milliseconds):
            self.now_us += STEP_US
            for process in self.processes:
                process.now_us = self.now_us
                if not process.is_alive:
                    continue
                phase_us = (self.now_us + process.number * (100 // self.instances) * STEP_US) % PERIOD_US
                if phase_us == 0:
                    process.begin()
                elif phase_us == 5 * STEP_US:
                    await process.end(None if self.is_away else self.table, self.now_us)
            ask(self)

    def ask(self, process: Instance, cost: int = 1) -> bool:
        """Make one request; return whether it was admitted."""
        is_admitted = isinstance(process.limits.admit([Charge(Limit.USER, ID)], cost), Admitted)
        if is_admitted:
            self.admitted.append((self.now_us, cost))
        return is_admitted

    def most_in(self, seconds: int) -> int:
        """Return the most units that were admitted in any window of *seconds*."""
        window: deque[tuple[int, int]] = deque()
        total = most = 0
        for at_us, cost in self.admitted:
            window.append((at_us, cost))
            total += cost
            while window[0][0] <= at_us - seconds * SECOND_US:
                total -= window.popleft()[1]
            most = max(most, total)
        return most

    def admitted_since(self, since_us: int) -> int:
        return sum(cost for at_us, cost in self.admitted if at_us > since_us)


def allowed_in(rate: Rate, seconds: int) -> int:
    return rate.burst + seconds * SECOND_US // rate.emission_us


def times(overload: int, rate: Rate, *, choose: Callable[[World], Instance], cost: int = 1) -> Callable[[World], None]:
    """Ask for *overload* times the rate, of the instances that *choose* names."""
    owed = 0

    def ask(world: World) -> None:
        nonlocal owed
        owed += overload * STEP_US
        while owed >= cost * rate.emission_us:
            owed -= cost * rate.emission_us
            world.ask(choose(world), cost)

    return ask


def any_of_them(world: World) -> Instance:
    return world.random.choice([each for each in world.processes if each.is_alive])


def one_after_another(world: World) -> Instance:
    return world.processes[world.now_us // SECOND_US % len(world.processes)]


def the_first(world: World) -> Instance:
    return world.processes[0]


@pytest.mark.parametrize("choose", [any_of_them, one_after_another, the_first])
@pytest.mark.parametrize("rate", RATES, ids=str)
async def test_ten_times_the_load_gets_a_tenth_more_at_most(rate: Rate, choose: Callable[[World], Instance]) -> None:
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    await world.pass_ms(22_000, times(10, rate, choose=choose))

    assert world.most_in(10) <= allowed_in(rate, 10) * 11 // 10
    assert world.most_in(20) <= allowed_in(rate, 20) * 11 // 10
    # Nor is anybody sold short: what the rate allows is got, whichever instances are asked.
    assert world.admitted_since(0) >= min(allowed_in(rate, 22), 22 * SECOND_US // rate.emission_us) * 9 // 10


async def test_a_flash_at_all_instances_at_once_gets_the_burst() -> None:
    rate = Rate.of(1, burst=60)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    def flash(world: World) -> None:
        for process in world.processes:
            world.ask(process)

    await world.pass_ms(5_000, flash)

    assert world.most_in(5) <= allowed_in(rate, 5) * 11 // 10


async def test_batches_are_weighed_by_their_commands() -> None:
    rate = Rate.of(50, burst=100)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    await world.pass_ms(20_000, times(10, rate, choose=any_of_them, cost=20))

    assert world.most_in(10) <= allowed_in(rate, 10) * 11 // 10
    assert world.admitted_since(0) >= 20 * 50 * 9 // 10


async def test_a_batch_beyond_the_share_is_admitted_when_it_comes_again() -> None:
    world = World(table=ModelTable(), policy=RatePolicy(user=Rate.of(50, burst=100)))
    await world.pass_ms(3_000, lambda _: None)
    process = world.processes[0]

    assert not world.ask(process, 80)
    await world.pass_ms(1_000, lambda _: None)

    assert world.ask(process, 80)
    assert not world.ask(process, 80)
    assert isinstance(process.limits.admit([Charge(Limit.USER, ID)], 101), BeyondBurst)


async def test_one_instance_of_four_gets_what_the_others_leave() -> None:
    rate = Rate.of(1_000, burst=2_000)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    await world.pass_ms(10_000, times(1, rate, choose=the_first))

    assert world.admitted_since(0) >= 10_000 * 99 // 100


async def test_what_is_within_the_rate_is_never_refused() -> None:
    rate = Rate.of(100, burst=200)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    await world.pass_ms(20_000, times(1, rate, choose=any_of_them))

    assert world.admitted_since(0) == 20 * 100


async def test_without_the_database_each_goes_on_with_its_share() -> None:
    rate = Rate.of(100, burst=200)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)
    await world.pass_ms(10_000, times(10, rate, choose=any_of_them))

    world.is_away = True
    away_since_us = world.now_us
    await world.pass_ms(30_000, times(10, rate, choose=any_of_them))

    assert 30 * 100 * 9 // 10 <= world.admitted_since(away_since_us) <= 30 * 100 + rate.burst // 10
    assert [each.limits.buckets.instances for each in world.processes] == [4, 4, 4, 4]
    world.is_away = False
    back_since_us = world.now_us
    await world.pass_ms(10_000, times(10, rate, choose=any_of_them))
    # Nothing is to be paid off: the share's rate has made good for what was spent meanwhile.
    assert world.admitted_since(back_since_us) >= 10 * 100 * 95 // 100
    assert world.most_in(10) <= allowed_in(rate, 10) * 11 // 10


async def test_a_bucket_first_seen_without_the_database_has_its_share_too() -> None:
    rate = Rate.of(100, burst=200)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)

    world.is_away = True
    await world.pass_ms(20_000, times(10, rate, choose=any_of_them))

    assert world.most_in(10) <= allowed_in(rate, 10) * 11 // 10
    assert world.admitted_since(0) >= 20 * 100


async def test_an_instance_that_is_killed_leaves_its_share_to_the_others() -> None:
    rate = Rate.of(100, burst=200)
    world = World(table=ModelTable(), policy=RatePolicy(user=rate))
    await world.pass_ms(3_000, lambda _: None)
    await world.pass_ms(5_000, times(10, rate, choose=any_of_them))

    world.processes[3].is_alive = False
    killed_us = world.now_us
    await world.pass_ms(20_000, times(10, rate, choose=any_of_them))

    assert world.admitted_since(killed_us) >= 20 * 100 * 9 // 10
    assert world.most_in(10) <= allowed_in(rate, 10) * 11 // 10
    assert world.processes[0].limits.buckets.instances == 3


async def test_a_tenant_of_its_own_rates_is_told_while_it_asks() -> None:
    world = World(table=ModelTable(), policy=RatePolicy(user=Rate.of(10, burst=10)), instances=1)
    process = world.processes[0]
    charges = [Charge(Limit.USER, ID, b"tenant")]

    def ask(_: World) -> None:
        process.limits.admit(charges)

    await world.pass_ms(2_000, ask)
    process.limits.override({b"tenant": replace(RatePolicy(), user=Rate.of(1_000, burst=1_000))})
    await world.pass_ms(5_000, ask)
    raised = process.limits.admit(charges)
    process.limits.override({})
    await world.pass_ms(5_000, ask)
    lowered = process.limits.admit(charges)

    assert isinstance(raised, Admitted)
    assert raised.rate == Rate.of(1_000, burst=1_000)
    assert isinstance(lowered, Limited)
    assert lowered.rate == Rate.of(10, burst=10)


@pytest.mark.integration
@pytest.mark.parametrize("rate", RATES[:4], ids=str)
async def test_the_real_table_gives_what_the_model_gives(connection: Connection, rate: Rate) -> None:
    policy = RatePolicy(user=rate)
    model, real = (World(table=table, policy=policy) for table in (ModelTable(), RealTable(connection)))

    for world in (model, real):
        await world.pass_ms(1_000, lambda _: None)
        await world.pass_ms(11_000, times(10, rate, choose=any_of_them))

    assert real.admitted == model.admitted
    assert real.most_in(10) <= allowed_in(rate, 10) * 11 // 10


@pytest.mark.integration
async def test_the_real_function_does_what_the_model_does(connection: Connection) -> None:
    chance = random.Random(7)
    model, real = ModelTable(), RealTable(connection)
    now_us = 1_700_000_000 * SECOND_US
    limits = Limits()
    for _ in range(200):
        now_us += chance.choice([1_000, 50_000, 3_000_000, -HOUR_US, HOUR_US])
        reports = []
        for id_ in chance.sample([b"a", b"b", b"c", b"d"], chance.randint(0, 4)):
            bucket = limits.buckets.awake(Limit.USER, id_, None, now_us)
            bucket.take_share(Share.of(Rate(chance.randint(1, 50_000), chance.randint(1, 300)), 1), 0)
            debit = chance.randint(-300, 900)
            reports.append(Report(bucket, 0, debit, chance.randint(0, 300), chance.choice([0, 0, 50]), False))
        instance = chance.randint(0, 5)

        assert await real.settle(now_us, instance, reports) == await model.settle(now_us, instance, reports)
