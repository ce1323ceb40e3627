"""The fault of limits: one tenant sends ten times its rate to four instances, and what they share it by goes wrong."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from tests.chaos.faults.database import paused
from tests.chaos.faults.load import carried_out, flooded, told_of
from tests.chaos.load.client import HttpClient, Response
from tests.chaos.load.flood import Asked, FloodPlan
from tests.chaos.platform.plant import admin
from tests.chaos.platform.product import APIS, MORE_APIS
from tests.chaos.run import Bite, Fault, Run

from servicekit.clock import utc_now
from testkit.identities import FOR_EVER, TestKey, introduce, make_test_key, rates_event, tenant_event

INSTANCES = (*APIS, *MORE_APIS)
ODD_ONE = MORE_APIS[-1]
"""The instance that is killed, or whose clock is wrong: the bank does not ask there."""
TENANT = UUID("01900000-0000-7000-8000-00000000f050")
PER_S, BURST = 50, 100
TIMES = 10
FLOOD_S = 10.0
CONNECTIONS = 64
AWAY_S = 30.0
AWAY_BEGINS_S = 2.0
AWAY_TIMES = 4
"""What is admitted while the database is away waits for its deadline, each on a connection of its own."""
AWAY_CONNECTIONS = 512
OVERSHOOT_MAX = 0.1
LEAST = 0.9
"""Of what the rate alone gives: nobody is locked out."""
LEAST_BY_A_CLOCK_BACK = 0.5
"""A row is at most two bursts in debt by the clock that it goes by: four seconds of ten."""
KILLED_AFTER_S = 2.0
ROUNDS = 2
OTHERS_PER_S = 100.0
"""What two cores do beside the flood, and other work on them."""
OTHERS_S = 8.0
BEGUN_WITHIN_S = 30.0
POLL_S = 0.02
GOODPUT_MIN = 0.9
LIMITED = "rate_limited"
HOUR = timedelta(hours=1)
_UNAUTHENTICATED = 401

_CLOCK = """
    create schema chaos;
    grant usage on schema chaos to public;
    create table chaos.limits_clock (ahead_us bigint not null);
    insert into chaos.limits_clock values (0);
    grant select on chaos.limits_clock to public"""
_BEGINS = "\nbegin\n"
_BY_THE_CLOCK = "\nbegin\n    now_us := now_us + (select c.ahead_us from chaos.limits_clock c);\n"
_ROWS_AHEAD = """
    select count(*) from servicekit.rate_bucket
    where tat_us > extract(epoch from clock_timestamp() + interval '30 minutes') * 1000000"""
_SET_CLOCK = "update chaos.limits_clock set ahead_us = $1"


@dataclass(frozen=True, slots=True)
class Flooded:
    """What came of a flood: *admitted* is whatever no limit refused, in *seconds* from the first to its last answer."""

    admitted: int
    limited: int
    seconds: float
    told: Counter[str] = field(default_factory=Counter)

    @property
    def overshoot(self) -> float:
        """By which part more was admitted than burst and rate allow; below 0: less."""
        return self.admitted / (BURST + PER_S * self.seconds) - 1

    @property
    def of_the_rate(self) -> float:
        """What was admitted, as a part of what the rate alone gives."""
        return self.admitted / (PER_S * self.seconds)


@dataclass(slots=True)
class Scene:
    """The tenant that floods, by its *key*. *breaches* and *told* are what was found, *bites* how often each part bit.

    *ended* is a key that ended half an hour ago, *ending* one that ends in half an hour.
    """

    run: Run
    key: TestKey
    ended: TestKey
    ending: TestKey
    breaches: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    bites: list[int] = field(default_factory=list)

    async def flood(
        self, name: str, *, seconds: float = FLOOD_S, times: float = TIMES, connections: int = CONNECTIONS
    ) -> list[tuple[Asked, Response | None]]:
        """Send *times* the rate for *seconds* to all instances; return what was asked, with its answer."""
        platform = self.run.platform
        plan = FloodPlan(
            ports=[platform.port(each) for each in INSTANCES],
            wallets=[str(UUID(int=TENANT.int + number)) for number in range(1, 9)],
            prefix=f"{name}-{self.run.seed}",
            seconds=seconds,
            connections=connections,
            per_s=times * PER_S,
            answers=str(platform.folder / f"{name}.jsonl"),
            authorization=self.key.headers["authorization"],
        )
        return (await flooded(plan))[1]

    async def begun(self, name: str) -> None:
        """Wait until the flood of that name sends. Raises TimeoutError."""
        async with asyncio.timeout(BEGUN_WITHIN_S):
            while not (self.run.platform.folder / f"{name}.jsonl.begun").exists():  # noqa: ASYNC110  another process
                await asyncio.sleep(POLL_S)

    def judged(self, name: str, answered: Sequence[tuple[Asked, Response | None]], least: float = LEAST) -> Flooded:
        """Return what came of a flood; find more than the limit and a tenth, and less than *least* of the rate."""
        found = flooded_of(answered)
        self.bites.append(found.limited)
        if found.overshoot > OVERSHOOT_MAX or found.of_the_rate < least:
            self.breaches.append(f"{name}: {found.admitted} in {found.seconds:.1f} s are {found.overshoot:+.0%}")
        self.told.append(f"{name} {found.overshoot:+.1%}")
        return found


def flooded_of(answered: Sequence[tuple[Asked, Response | None]]) -> Flooded:
    """Return what came of the requests *answered*, of which there is one at least; no answer is admission."""
    told = Counter(told_of(answer) for _, answer in answered)
    admitted = [asked for asked, answer in answered if told_of(answer) != LIMITED]
    began_s = min(asked.sent_s for asked, _ in answered)
    ended_s = max(asked.sent_s for asked, _ in answered)
    return Flooded(len(admitted), told[LIMITED], ended_s - began_s, told)


async def overload_limits(run: Run) -> Bite:
    """F50: ten times the rate, then with the database away, with wrong clocks, and with an instance killed."""
    scene = await _scene(run)
    overshoot = await _beside_others(scene)
    await _database_away(scene)
    await _instance_by_a_wrong_clock(scene)
    await _database_by_a_wrong_clock(scene)
    await _instance_killed(scene)
    ended_s = time.monotonic()
    return Bite(
        what=f"limits_overshoot_percent {100 * overshoot:.1f}; {', '.join(scene.told)}",
        count=min(scene.bites),
        recovery_s=await run.recovery_s(ended_s),
        breaches=scene.breaches,
    )


async def _scene(run: Run) -> Scene:
    """Make the tenant, its rate and its keys known to the wallet."""
    now = utc_now()
    ends = (FOR_EVER, now - HOUR / 2, now + HOUR / 2)
    key, ended, ending = keys = [make_test_key(tenant_id=TENANT, ends_at=ends_at) for ends_at in ends]
    events = [tenant_event(TENANT), rates_event({"tenant": (PER_S, BURST)}, TENANT)]
    events += [event for key in keys for event in key.events()]
    await introduce(run.platform.databases["wallet"].dsn_owner, *events)
    return Scene(run, key, ended, ending)


async def _beside_others(scene: Scene) -> float:
    """Send another tenant's transfers with and without the flood, in turn; return the greatest overshoot."""
    alone, beside, overshoots = [], [], []
    for number in range(ROUNDS):
        alone.append(await _others(scene, f"alone-{number}"))
        async with asyncio.TaskGroup() as tasks:
            flood = tasks.create_task(scene.flood(f"flood-{number}"))
            await scene.begun(f"flood-{number}")
            beside.append(await _others(scene, f"beside-{number}"))
        overshoots.append(scene.judged("overload", flood.result()).overshoot)
    kept = sum(beside) / sum(alone)
    if kept < GOODPUT_MIN:
        scene.breaches.append(f"others have {kept:.2f} of their goodput beside the flood")
    scene.told.append(f"others' goodput {kept:.2f} of {sum(alone) / ROUNDS:.0f}/s")
    return max(overshoots)


async def _others(scene: Scene, name: str) -> float:
    """Return how many of the bank's transfers were carried out in time, each second."""
    platform = scene.run.platform
    plan = FloodPlan(
        ports=[platform.port(each) for each in INSTANCES],
        wallets=scene.run.bank.wallets,
        prefix=f"{name}-{scene.run.seed}",
        seconds=OTHERS_S,
        connections=CONNECTIONS,
        per_s=OTHERS_PER_S,
        answers=str(platform.folder / f"{name}.jsonl"),
    )
    return (await carried_out(scene.run, plan, 1.0)).goodput


async def _database_away(scene: Scene) -> None:
    """Have the database stand still: each instance goes on with its share; then settle again, at ten times the rate."""
    async with asyncio.TaskGroup() as tasks:
        flood = tasks.create_task(
            scene.flood("away", seconds=AWAY_BEGINS_S + AWAY_S + 1.0, times=AWAY_TIMES, connections=AWAY_CONNECTIONS)
        )
        await scene.begun("away")
        await asyncio.sleep(AWAY_BEGINS_S)
        async with paused(scene.run):
            await asyncio.sleep(AWAY_S)
    found = scene.judged("database away", flood.result())
    scene.bites.append(found.admitted - found.told["wallet_not_found"])
    scene.told.append(f"then told {_shown(found.told)}")
    scene.judged("back", await scene.flood("back"))


def _shown(told: Counter[str]) -> str:
    return " ".join(f"{count} {code or 'done'}" for code, count in told.most_common())


async def _instance_by_a_wrong_clock(scene: Scene) -> None:
    """Have one instance's wall clock an hour ahead, then an hour behind."""
    platform = scene.run.platform
    for part in ("hour-ahead", "hour-behind"):
        platform.parts = {ODD_ONE: part}
        await platform.start(ODD_ONE)
        scene.bites.append(await _by_the_hour(scene, part))
        scene.judged(part, await scene.flood(part))
    platform.parts = {}
    await platform.start(ODD_ONE)


async def _by_the_hour(scene: Scene, part: str) -> int:
    """Return 1 where the instance takes keys by a clock that is an hour ahead or behind, as *part* says, else 0."""
    ended, ending = [await _is_taken(scene, key) for key in (scene.ended, scene.ending)]
    return int((ended, ending) == ((False, False) if part == "hour-ahead" else (True, True)))


async def _is_taken(scene: Scene, key: TestKey) -> bool:
    http = HttpClient(scene.run.platform.port(ODD_ONE), authorization=key.headers["authorization"])
    try:
        return (await http.request("GET", f"/v1/wallets/{TENANT}")).status != _UNAUTHENTICATED
    finally:
        http.close()


async def _database_by_a_wrong_clock(scene: Scene) -> None:
    """Have the clock that the rows go by an hour ahead, then right again, which is an hour back."""
    async with admin(scene.run.platform.databases["wallet"]) as connection:
        await connection.execute(_CLOCK)
        source: str = await connection.fetchval("select pg_get_functiondef('servicekit.settle_rates'::regproc)")
        assert source.count(_BEGINS) == 1, "the function is not as the fault knows it"
        await connection.execute(source.replace(_BEGINS, _BY_THE_CLOCK))
        await connection.execute(_SET_CLOCK, HOUR // timedelta(microseconds=1))
        scene.judged("rows an hour ahead", await scene.flood("rows-ahead"))
        scene.bites.append(await connection.fetchval(_ROWS_AHEAD))
        await connection.execute(_SET_CLOCK, 0)
        scene.judged("rows an hour back", await scene.flood("rows-back"), LEAST_BY_A_CLOCK_BACK)


async def _instance_killed(scene: Scene) -> None:
    """Kill one instance in the flood: the others take its share."""
    async with asyncio.TaskGroup() as tasks:
        flood = tasks.create_task(scene.flood("killed"))
        await scene.begun("killed")
        await asyncio.sleep(KILLED_AFTER_S)
        await scene.run.platform.kill(ODD_ONE)
    scene.judged("an instance killed", flood.result())
    await scene.run.platform.start(ODD_ONE)


FAULTS = (
    Fault(
        id="F50",
        title="ten times a tenant's rate, with limits' database away, clocks wrong, an instance killed",
        inflict=overload_limits,
        also=frozenset(MORE_APIS),
        clients=2,
        is_alone=True,
    ),
)
