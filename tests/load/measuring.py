"""A run: everything that its plan asks for, and what came out."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from tests.load import backlog, cells, freezing, profile, sizes, visible
from tests.load.database import prepared, server
from tests.load.generator import Load
from tests.load.plan import Plan
from tests.load.processes import apis
from tests.load.rounds import Rounds
from tests.load.series import Series

from demo import stack
from demo.stack import Platform
from local_stack.postgres import PostgresServer

_SIZE_ROUNDS: Final = 3


@dataclass(slots=True)
class Outcome:
    """What was measured; *figures* are absolute, and *profile_us* µs per command by part."""

    series: Series = field(default_factory=Series)
    figures: dict[str, float] = field(default_factory=dict)
    profile_us: dict[str, float] = field(default_factory=dict)


async def measure(plan: Plan, console: Console) -> Outcome:
    """Run *plan*."""
    outcome = Outcome()
    with server() as running:
        await _on_one_server(running, plan, outcome, console)
        if plan.has("backlog"):
            console.print(f"backlog of {plan.backlog_events:,} events")
            _keep_backlog(await backlog.measure(running, plan.backlog_events), outcome)
    if plan.has("sizes"):
        rounds = min(_SIZE_ROUNDS, plan.rounds)
        await sizes.measure(plan.sizes, outcome.series, rounds=rounds, seconds=plan.seconds, console=console)
    if plan.has("freezing", "visible"):
        await _on_the_platform(plan, outcome, console)
    return outcome


async def _on_one_server(running: PostgresServer, plan: Plan, outcome: Outcome, console: Console) -> None:
    async with prepared(running) as bench:
        await Rounds(bench, plan, outcome.series).run(console)
        if plan.has("profile"):
            console.print("profile")
            outcome.profile_us = await profile.measure(bench, plan.seconds)
        if plan.has("visible") and outcome.series.best("http uniform") is None:
            load = Load(wallet_ids=bench.wallet_ids, connections=max(plan.connections), seconds=plan.seconds)
            async with apis(bench.database.dsn_app) as processes:
                outcome.series.add(f"http uniform {load.connections}", await cells.http(processes, load))


async def _on_the_platform(plan: Plan, outcome: Outcome, console: Console) -> None:
    async with _platform() as platform:
        if plan.has("freezing"):
            console.print("freezing")
            froze = await freezing.measure(platform.wallet_url, plan.wallets_to_freeze)
            outcome.figures |= {"freeze_p50_ms": round(froze.p50_ms, 1), "freeze_p99_ms": round(froze.p99_ms, 1)}
        if plan.has("visible"):
            single = outcome.series.best("http uniform")
            assert single is not None
            console.print(f"visible at {single / 2:,.0f} transfers/s")
            _keep_visible(await visible.measure(platform, single / 2, plan.visible_s), outcome)


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


def _keep_backlog(drained: backlog.Backlog, outcome: Outcome) -> None:
    outcome.figures |= {
        "backlog_events": drained.events,
        "relay_events_per_s": round(drained.relay_per_s),
        "projection_events_per_s": round(drained.projection_per_s),
        "events_per_s": round(drained.both_per_s),
    }


def _keep_visible(seen: visible.Visible, outcome: Outcome) -> None:
    outcome.figures |= {
        "visible_samples": seen.samples,
        "visible_wanted_per_s": round(seen.wanted_per_s),
        "visible_at_per_s": round(seen.per_s),
        "visible_p50_ms": round(seen.p50_ms, 1),
        "visible_p99_ms": round(seen.p99_ms, 1),
    }
