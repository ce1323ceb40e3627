"""A run: everything that its plan asks for, and what came out."""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from tests.load import (
    admission,
    backlog,
    cells,
    due,
    freezing,
    history,
    maintaining,
    million,
    mixed,
    mixed_money,
    money,
    profile,
    sizes,
    standby,
    visible,
)
from tests.load.database import Bench, prepared, server
from tests.load.generator import Load
from tests.load.plan import KINDS, BenchPlan
from tests.load.processes import apis, verifying
from tests.load.rounds import Rounds
from tests.load.series import Rate, Series
from tests.load.visible import Visible

from demo import stack
from demo.stack import Platform
from engines.postgres import PostgresServer

_SIZE_ROUNDS: Final = 3
_STANDBY_SHARE: Final = 4
"""Of the backlog: it is drained twice."""


@dataclass(slots=True)
class Outcome:
    """What was measured; *figures* are absolute, *failed* could not be measured.

    *profile_us* is µs per command by part of the write path, *cores_us* µs of CPU per transfer by process.
    """

    series: Series = field(default_factory=Series)
    figures: dict[str, float] = field(default_factory=dict)
    profile_us: dict[str, float] = field(default_factory=dict)
    cores_us: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """Carries out *plan*; what fails is told and left out, so that it does not cost the rest."""

    plan: BenchPlan
    console: Console
    outcome: Outcome = field(default_factory=Outcome)

    async def measure(self) -> Outcome:
        """Measure everything."""
        with server() as running:
            async with prepared(running) as bench:
                await self._on_one_database(bench)
            of_databases_of_their_own = {
                "mixed": self._mixed,
                "money": self._money,
                "mixed-money": self._mixed_money,
                "due": self._due,
                "access": self._access,
                "million": self._million,
                "backlog": self._backlog,
                "history": self._history,
            }
            for name, work in of_databases_of_their_own.items():
                if self.plan.has(name):
                    await self._attempt(name, partial(work, running))
        if self.plan.has("sizes"):
            await self._attempt("sizes", self._sizes)
        if self.plan.has("standby"):
            await self._attempt("standby", self._standby)
        if self.plan.has("freezing", "visible"):
            await self._attempt("freezing, visible", self._on_the_platform)
        return self.outcome

    async def _attempt(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it was, the other cells are still to be run
            self.console.print(f"{name} failed")
            self.console.print_exception(max_frames=4)
            self.outcome.failed.append(name)

    async def _on_one_database(self, bench: Bench) -> None:
        await Rounds(bench, self.plan, self.outcome.series, self._attempt).run(self.console)
        if self.plan.has("profile"):
            await self._attempt("profile", lambda: self._profile(bench))
        if self.plan.has("maintenance"):
            await self._attempt("maintenance", lambda: self._maintenance(bench))
        if self.plan.has("visible") and self.outcome.series.best("http uniform") is None:
            await self._attempt("http", lambda: self._http_alone(bench))

    async def _mixed(self, running: PostgresServer) -> None:
        self.console.print("mixed")
        async with prepared(running) as bench:
            batches = await mixed.measure(
                bench, self.outcome.series, rounds=self.plan.rounds, seconds=self.plan.seconds
            )
        self.outcome.figures["mixed_share_ahead"] = round(batches.share_ahead, 3)

    async def _money(self, running: PostgresServer) -> None:
        self.console.print("money")
        await money.measure(running, self.outcome.series, rounds=self.plan.rounds, seconds=self.plan.seconds)

    async def _mixed_money(self, running: PostgresServer) -> None:
        self.console.print("everything that moves money at once")
        async with prepared(running) as bench:
            batches = await mixed_money.measure(
                bench, self.outcome.series, rounds=self.plan.rounds, seconds=self.plan.seconds
            )
        self.outcome.figures["mixed_money_share_ahead"] = round(batches.share_ahead, 3)

    async def _due(self, running: PostgresServer) -> None:
        self.console.print(f"{self.plan.due_holds:,} holds due at once, {self.plan.open_holds:,} open")
        await due.measure(
            running,
            self.outcome.series,
            due=self.plan.due_holds,
            still_open=self.plan.open_holds,
            rounds=self.plan.rounds,
            seconds=self.plan.seconds,
        )

    async def _access(self, running: PostgresServer) -> None:
        self.console.print("access")
        timing = admission.Timing(
            rounds=self.plan.rounds, seconds=self.plan.seconds, connections=max(self.plan.connections)
        )
        await admission.measure(running, self.outcome.series, timing)

    async def _million(self, running: PostgresServer) -> None:
        self.console.print(f"transfers between {self.plan.wallets:,} wallets")
        await million.measure(
            running, self.plan.wallets, self.outcome.series, rounds=self.plan.rounds, seconds=self.plan.seconds
        )

    async def _profile(self, bench: Bench) -> None:
        self.console.print("profile")
        self.outcome.profile_us.update(await profile.measure(bench, self.plan.seconds))

    async def _maintenance(self, bench: Bench) -> None:
        self.console.print("maintenance")
        if self.outcome.series.best("committer hot") is None:
            for kind in KINDS:
                rate = await cells.committer(bench, hot=kind == "hot", ahead=True, seconds=self.plan.seconds)
                self.outcome.series.add(f"committer {kind} ahead", rate)
        done = await maintaining.measure(bench, self.plan.old_keys)
        self.outcome.series.add("maintenance forgotten", Rate(done.forgotten_per_s))
        self.outcome.series.add("maintenance folded", Rate(done.folded_per_s))
        for _ in range(self.plan.rounds):
            await self._verified(bench)

    async def _verified(self, bench: Bench) -> None:
        """Commit alone, then beside the process that verifies what is committed."""
        commit = partial(cells.committer, bench, hot=False, ahead=True, seconds=self.plan.seconds)
        self.outcome.series.add("maintenance unverified", await commit())
        async with verifying(bench.database):
            self.outcome.series.add("maintenance verified", await commit())

    async def _standby(self) -> None:
        self.console.print("standby")
        seen = await standby.measure(self.plan.replays, self.plan.backlog_events // _STANDBY_SHARE)
        self.outcome.figures.update(
            standby_new_ms=round(seen.new_ms, 2), standby_replayed_ms=round(seen.replayed_ms, 2)
        )
        self.outcome.series.add("standby new", Rate(1_000 / seen.new_ms))
        self.outcome.series.add("standby replayed", Rate(1_000 / seen.replayed_ms))
        self.outcome.series.add("standby relay barrier", Rate(seen.barrier_per_s))
        self.outcome.series.add("standby relay without", Rate(seen.without_per_s))

    async def _http_alone(self, bench: Bench) -> None:
        """Measure the figure of which the visibility takes half."""
        load = Load(wallet_ids=bench.wallet_ids, connections=max(self.plan.connections), seconds=self.plan.seconds)
        async with apis(bench.database) as processes:
            self.outcome.series.add(f"http uniform {load.connections}", await cells.http(processes, load))

    async def _backlog(self, running: PostgresServer) -> None:
        self.console.print(f"backlog of {self.plan.backlog_events:,} events")
        drained = await backlog.measure(running, self.plan.backlog_events)
        self.outcome.figures.update(
            backlog_events=drained.events,
            relay_events_per_s=round(drained.relay_per_s),
            projection_events_per_s=round(drained.projection_per_s),
            events_per_s=round(drained.both_per_s),
        )

    async def _history(self, running: PostgresServer) -> None:
        events, times = self.plan.past_events, self.plan.past_times
        self.console.print(f"the history of {events * times:,} entries")
        asked = await history.measure(running, self.outcome.series, events=events, times=times, rounds=self.plan.rounds)
        for name, p99_ms in asked.p99_ms.items():
            self.outcome.figures[f"history_{name.replace('-', '_')}_p99_ms"] = round(p99_ms, 1)
        self.outcome.figures["history_not_modified_share"] = round(asked.not_modified_share, 2)

    async def _sizes(self) -> None:
        plan = self.plan
        rounds = min(_SIZE_ROUNDS, plan.rounds)
        await sizes.measure(plan.sizes, self.outcome.series, rounds=rounds, seconds=plan.seconds, console=self.console)

    async def _on_the_platform(self) -> None:
        async with _platform() as platform:
            if self.plan.has("freezing"):
                await self._freezing(platform)
            if self.plan.has("visible"):
                await self._visible(platform)

    async def _freezing(self, platform: Platform) -> None:
        self.console.print("freezing")
        froze = await freezing.measure(platform.wallet_url, platform.credential, self.plan.wallets_to_freeze)
        self.outcome.figures.update(freeze_p50_ms=round(froze.p50_ms, 1), freeze_p99_ms=round(froze.p99_ms, 1))

    async def _visible(self, platform: Platform) -> None:
        single = self.outcome.series.best("http uniform")
        assert single is not None, "there is no figure of which to take half"
        seen = await self._visible_at(platform, "visible", single / 2)
        self.outcome.cores_us.update({part: round(us, 1) for part, us in seen.cpu_us.items()})
        await self._visible_at(platform, "visible_half", seen.per_s / 2)

    async def _visible_at(self, platform: Platform, name: str, per_s: float) -> Visible:
        self.console.print(f"visible at {per_s:,.0f} transfers/s")
        seen = await visible.measure(platform, per_s, self.plan.visible_s)
        self.outcome.figures.update(
            {
                f"{name}_samples": seen.samples,
                f"{name}_refused": seen.refused,
                f"{name}_wanted_per_s": round(seen.wanted_per_s),
                f"{name}_at_per_s": round(seen.per_s),
                f"{name}_p50_ms": round(seen.p50_ms, 1),
                f"{name}_p99_ms": round(seen.p99_ms, 1),
            }
        )
        return seen


@asynccontextmanager
async def _platform() -> AsyncIterator[Platform]:
    """Give a platform of its own, which judges by the rule of the freezing."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(freezing.RULES)
        console = Console(quiet=True)
        config = stack.config_for({**os.environ, **stack.ENVIRONMENT, "FRAUD_RULES_FILE": str(rules)}, console)
        async with stack.running(config, console) as platform:
            yield platform
        stack.discard(config)
