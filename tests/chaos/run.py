"""One run: the bank's load on a platform, one fault in the middle of it, and the checker's judgement afterwards."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos.judge import observe, observe_services
from tests.chaos.judge.checker import check
from tests.chaos.judge.draining import DRAINED_WITHIN_S, caught_up, drained, nothing_due
from tests.chaos.judge.inbox import Inbox
from tests.chaos.judge.observed import Observed, Record, Samples
from tests.chaos.load.history import Done, History
from tests.chaos.load.workload import CLIENTS, MIX, SETTLED_WITHIN_S, TERMS, Bank, Client
from tests.chaos.phase_times import PhaseTimes
from tests.chaos.platform.plant import Plant
from tests.chaos.platform.platform import Platform, Site, open_platform
from tests.chaos.platform.product import HISTORY

from servicekit.postgres import DRIVER_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SAMPLE_EVERY_S = 0.4
RUN_S_MAX = 480.0
STILL_WITHIN_S = 10.0
BREACHES_SHOWN = 5


@dataclass(kw_only=True, slots=True)
class Bite:
    """That the fault bit: how often, in words, with what it broke of its own promise; the recovery in seconds.

    *alarms* are those of the product's own that were raised, by their names. *figures* are kept beside the result.
    """

    what: str
    count: int
    recovery_s: float
    breaches: list[str] = field(default_factory=list)
    alarms: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Run:
    """What a fault acts on."""

    platform: Platform
    bank: Bank
    seed: int
    chance: random.Random
    captured: list[Record] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)

    @property
    def history(self) -> History:
        """What the clients were answered so far."""
        return self.bank.history

    async def probe(self, *, port: int | None = None) -> Done:
        """Settle one deposit, at *port* where given; TimeoutError when that is not possible in time."""
        client = Client(self.bank, self.chance, port=port)
        try:
            done = await client.settle(self.bank.deposit(self.bank.wallets[0], 1))
        finally:
            client.close()
        if done is None:
            raise TimeoutError("no command was settled")
        return done

    @asynccontextmanager
    async def still(self) -> "AsyncIterator[None]":
        """Keep the ledger still while the body runs: its clients, and the holds that would end meanwhile.

        Where a bug is planted a hold may never end.
        """
        async with self.bank.paused():
            with suppress(TimeoutError):
                await nothing_due(self.platform, STILL_WITHIN_S)
            yield

    async def recovery_s(self, since_s: float) -> float:
        """Wait until a command sent now is visible in the read model; return the seconds since *since_s*."""
        await self.probe()
        async with self.platform.connections() as connections:
            await caught_up(connections, HISTORY)
        return time.monotonic() - since_s


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of the matrix. *inflict* runs under load, *settle* after it; *gated* processes have their gates.

    *also* runs besides the core, *beside* is what stands beside the platform from before the load to the end. Where it
    is a *plant*, the checker must find it. *repeats_nothing*: no record may be published twice. What judges speed
    *is alone*, without a neighbour on the machine. Without a policy two batches of the tenant have no row in common.
    """

    id: str
    title: str
    inflict: Callable[[Run], Awaitable[Bite]]
    settle: Callable[[Run, Bite], Awaitable[None]] | None = None
    beside: Callable[[Run], AbstractAsyncContextManager[None]] = lambda _: nullcontext()
    also: frozenset[str] = frozenset()
    gated: frozenset[str] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict)
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)
    has_policy: bool = True
    is_opposite: bool = False
    clients: int = CLIENTS
    repeats_nothing: bool = False
    plant: Plant | None = None
    is_alone: bool = False


@dataclass(kw_only=True, slots=True)
class RunResult:
    """What came out of one run. A planted bug is caught by the checks that *must* break; others *may*, besides."""

    fault: str
    seed: int
    what: str
    bit: int
    operations: int
    repeats: int
    unanswered: int
    events: int
    records: int
    snapshots: int
    recovery_s: float
    seconds: float
    breaches: dict[str, list[str]]
    phases: dict[str, float] = field(default_factory=dict)
    webhooks: int = 0
    webhook_repeats: int = 0
    decisions: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    must: list[str] = field(default_factory=list)
    may: list[str] = field(default_factory=list)

    @classmethod
    def unfinished(cls, fault: Fault, seed: int, seconds: float, why: str) -> "RunResult":
        """Return the result of a run that broke off."""
        figures: dict[str, Any] = dict.fromkeys(
            ("bit", "operations", "repeats", "unanswered", "events", "records", "snapshots"), 0
        )
        return cls(
            fault=fault.id,
            seed=seed,
            what="the run was not finished",
            recovery_s=0.0,
            seconds=round(seconds, 1),
            breaches={"run": [why]},
            must=_must(fault),
            may=_may(fault),
            **figures,
        )

    @property
    def broken(self) -> set[str]:
        """The checks that found something."""
        return {name for name, found in self.breaches.items() if found}

    @property
    def caught_by(self) -> list[str]:
        """The checks that found the planted bug, of those that must."""
        return sorted(self.broken & set(self.must))

    @property
    def holds(self) -> bool:
        """Whether the fault bit and nothing broke but what a planted bug must break, all of that, and may."""
        return self.bit > 0 and set(self.must) <= self.broken <= {*self.must, *self.may}


def _must(fault: Fault) -> list[str]:
    return [] if fault.plant is None else sorted(fault.plant.caught_by)


def _may(fault: Fault) -> list[str]:
    return [] if fault.plant is None else sorted(fault.plant.besides)


async def judge(site: Site, fault: Fault, seed: int, seconds: float) -> RunResult:
    """Run *fault* once under *seconds* of load and return the result; TimeoutError beyond the run's bound."""
    times = PhaseTimes()
    async with asyncio.timeout(RUN_S_MAX), _prepared(site, fault, seed) as run:
        times.end("start")
        samples = Samples()
        async with _sampling(run.platform, samples):
            bite = await _under_load(run, fault, seconds)
        times.end("load")
        drained_s = await _drain(run.platform, DRAINED_WITHIN_S if fault.plant is None else fault.plant.patience_s)
        times.end("drain")
        if fault.settle is not None:
            await fault.settle(run, bite)
            times.end("settle")
        observed = await _observe(run, samples)
        times.end("observe")
    times.end("end")
    observed.seconds_to_drain = drained_s
    observed.repeats_nothing = fault.repeats_nothing
    return _result(run, fault, bite, observed, times)


@asynccontextmanager
async def _prepared(site: Site, fault: Fault, seed: int) -> "AsyncIterator[Run]":
    name = f"{fault.id}-{seed}"
    plant = fault.plant
    async with open_platform(site, name, also=fault.also, gated=fault.gated, env=fault.env, plant=plant) as platform:
        bank = Bank(
            seed=seed,
            ports=platform.api_ports,
            mix=dict(fault.mix),
            terms=TERMS if fault.has_policy else {},
            is_opposite=fault.is_opposite,
            clients=fault.clients,
            settled_within_s=SETTLED_WITHIN_S if plant is None else plant.patience_s,
        )
        await bank.open()
        run = Run(platform=platform, bank=bank, seed=seed, chance=random.Random(f"{fault.id}/{seed}"))
        async with fault.beside(run):
            yield run


async def _under_load(run: Run, fault: Fault, seconds: float) -> Bite:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.bank.run(stop))
        try:
            await asyncio.sleep(seconds * run.chance.uniform(0.3, 0.6))
            bite = await fault.inflict(run)
            await asyncio.sleep(seconds * 0.3)
        finally:
            stop.set()
    return bite


@asynccontextmanager
async def _sampling(platform: Platform, samples: Samples) -> "AsyncIterator[None]":
    task = asyncio.create_task(_sample_for_ever(platform, samples))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sample_for_ever(platform: Platform, samples: Samples) -> None:
    while True:
        # The database goes away in some runs: what it shows is looked at whenever it is there.
        with suppress(OSError, *DRIVER_ERRORS):
            async with platform.connections() as connections:
                while True:
                    await observe.sample(connections, platform.consumers, samples)
                    await asyncio.sleep(SAMPLE_EVERY_S)
        await asyncio.sleep(SAMPLE_EVERY_S)


async def _drain(platform: Platform, within_s: float) -> float | None:
    began_s = time.monotonic()
    try:
        await nothing_due(platform, within_s)
        await drained(platform, within_s)
    except TimeoutError:
        return None
    return time.monotonic() - began_s


async def _observe(run: Run, samples: Samples) -> Observed:
    records = observe.parse(await observe.raw_records(run.platform.kafka.bootstrap_servers))
    known = {(record.partition, record.offset) for record in records}
    cut = [record for record in run.captured if (record.partition, record.offset) not in known]
    async with run.platform.connections() as connections:
        observed = await observe.observe(connections, [*cut, *records], samples)
        observed.webhooks = await observe_services.webhooks(run.platform, connections, run.inbox)
        observed.decisions = await observe_services.decisions(run.platform, connections)
        observed.refusals = await observe.refusals(connections, run.platform.postgres_log())
    return observed


def _result(run: Run, fault: Fault, bite: Bite, observed: Observed, times: PhaseTimes) -> RunResult:
    breaches = {**check(run.history, observed), "own": bite.breaches, **bite.alarms}
    return RunResult(
        fault=fault.id,
        seed=run.seed,
        what=bite.what,
        bit=bite.count,
        operations=len(run.history.done),
        repeats=run.history.repeats,
        unanswered=run.history.unanswered,
        events=len(observed.journal),
        records=len(observed.records),
        snapshots=observed.samples.totals,
        recovery_s=round(bite.recovery_s, 2),
        seconds=round(times.total_s, 1),
        breaches={name: found[:BREACHES_SHOWN] for name, found in breaches.items()},
        phases=times.phases,
        webhooks=0 if observed.webhooks is None else len(observed.webhooks.posts),
        webhook_repeats=0 if observed.webhooks is None else observed.webhooks.repeats,
        decisions=0 if observed.decisions is None else len(observed.decisions.made),
        figures=bite.figures,
        must=_must(fault),
        may=_may(fault),
    )
