"""`make bench`: the committer, in process and over HTTP, beside pgbench that writes the same rows, in one run.

Cells are interleaved over the rounds and medians compared, because machines are noisy: what counts are the ratios.
"""

import argparse
import asyncio
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.load import cells, freezing
from tests.load.cells import Rate
from tests.load.database import Bench, prepared, row_sizes, server
from tests.load.freezing import Freezing

from servicekit.process import tame_garbage_collection

BASELINE = Path(__file__).with_name("baseline.json")
RESULTS = Path(".local/results/bench.json")
KINDS = ("uniform", "hot")


@dataclass(slots=True)
class Series:
    """Every measured rate by cell name, `<what> <kind> <setting>`."""

    rates: dict[str, list[Rate]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, rate: Rate) -> None:
        """Keep one round's rate."""
        self.rates[name].append(rate)

    def median(self, name: str) -> float:
        """Return a cell's median over the rounds, transfers a second."""
        return statistics.median(rate.per_s for rate in self.rates[name])

    def best(self, prefix: str) -> float:
        """Return the best median among the settings of a cell."""
        return max(self.median(name) for name in self.rates if name.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often each cell runs, and with which settings."""

    seconds: float
    rounds: int
    clients: tuple[int, ...]
    connections: tuple[int, ...]
    wallets_to_freeze: int


async def measure(bench: Bench, plan: Plan, console: Console) -> Series:
    """Run every cell in every round."""
    series = Series()
    for number in range(1, plan.rounds + 1):
        for kind in KINDS:
            hot = kind == "hot"
            console.print(f"round {number} of {plan.rounds}: {kind}")
            for ahead in (True, False):
                rate = await cells.committer(bench, hot=hot, decides_ahead=ahead, seconds=plan.seconds)
                series.add(f"committer {kind} {'ahead' if ahead else 'locked'}", rate)
            await _over_http(bench, plan, series, kind)
            sizes = await row_sizes(bench.database.dsn_admin)
            for script in ("several_statements", "one_function"):
                for clients in plan.clients:
                    rate = cells.pgbench(bench, script, hot=hot, clients=clients, seconds=plan.seconds, sizes=sizes)
                    series.add(f"pgbench {script} {kind} {clients}", rate)
    return series


async def _over_http(bench: Bench, plan: Plan, series: Series, kind: str) -> None:
    hot = kind == "hot"
    async with cells.api(bench) as (url, pid):
        for connections in plan.connections:
            rate = await cells.http(bench, url, pid, hot=hot, connections=connections, seconds=plan.seconds)
            series.add(f"http {kind} {connections}", rate)
    for share in (0.0, 1.0):
        async with cells.api(bench, trace_share=share) as (url, pid):
            connections = max(plan.connections)
            rate = await cells.http(bench, url, pid, hot=hot, connections=connections, seconds=plan.seconds)
            series.add(f"traced {share:.0%} {kind}", rate)


def ratios(series: Series, connections: int) -> dict[str, float]:
    """Return what is compared from one run to the next; *connections* are those of the traced cells."""
    committer = {kind: series.best(f"committer {kind}") for kind in KINDS}
    http = {kind: series.best(f"http {kind}") for kind in KINDS}
    several = {kind: series.best(f"pgbench several_statements {kind}") for kind in KINDS}
    function = {kind: series.best(f"pgbench one_function {kind}") for kind in KINDS}
    named = {
        "committer_hot_vs_uniform": committer["hot"] / committer["uniform"],
        "ahead_vs_locked_uniform": series.median("committer uniform ahead") / series.median("committer uniform locked"),
        "ahead_vs_locked_hot": series.median("committer hot ahead") / series.median("committer hot locked"),
    }
    for kind in KINDS:
        sampled = series.median(f"http {kind} {connections}")
        named[f"http_sampled_vs_untraced_{kind}"] = sampled / series.median(f"traced 0% {kind}")
        named[f"http_all_traced_vs_untraced_{kind}"] = series.median(f"traced 100% {kind}") / series.median(
            f"traced 0% {kind}"
        )
        named[f"committer_vs_pgbench_{kind}"] = committer[kind] / several[kind]
        named[f"http_vs_pgbench_{kind}"] = http[kind] / several[kind]
        named[f"committer_vs_pgbench_function_{kind}"] = committer[kind] / function[kind]
    return {name: round(value, 2) for name, value in sorted(named.items())}


def show(series: Series, plan: Plan, freeze: Freezing, console: Console) -> None:
    """Print the rates and, beside the baseline, the ratios; write all as JSON."""
    rates = Table("cell", "transfers/s", "µs of CPU each", "generator's core", title="medians")
    for name in sorted(series.rates):
        rates.add_row(name, f"{series.median(name):,.0f}", *_details(series.rates[name]))
    console.print(rates)
    now = ratios(series, max(plan.connections))
    baseline = json.loads(BASELINE.read_text())["ratios"] if BASELINE.exists() else {}
    compared = Table("ratio", "now", "baseline", title="ratios")
    for name, value in now.items():
        compared.add_row(name, f"{value:.2f}", f"{baseline[name]:.2f}" if name in baseline else "-")
    console.print(compared)
    console.print(
        f"a wallet that trips a rule refuses its next debit after {freeze.p50_ms:.0f} ms (median), "
        f"{freeze.p99_ms:.0f} ms (p99), of {freeze.wallets} wallets"
    )
    figures = {"freeze_p50_ms": round(freeze.p50_ms, 1), "freeze_p99_ms": round(freeze.p99_ms, 1)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    raw = {name: [rate.per_s for rate in rates_of] for name, rates_of in series.rates.items()}
    RESULTS.write_text(json.dumps({"ratios": now, "figures": figures, "series": raw}, indent=2) + "\n")
    console.print(f"written to {RESULTS}")


def _details(rates: list[Rate]) -> Iterator[str]:
    cpu = [rate.cpu_us for rate in rates if rate.cpu_us is not None]
    share = [rate.generator_cpu_share for rate in rates if rate.generator_cpu_share is not None]
    yield f"{statistics.median(cpu):.0f}" if cpu else ""
    yield f"{statistics.median(share):.0%}" if share else ""


async def bench(plan: Plan) -> None:
    """Prepare, measure, show."""
    console = Console()
    tame_garbage_collection()  # the committer in process, as in its own process
    with server() as running:
        async with prepared(running) as made:
            series = await measure(made, plan, console)
    console.print("freezing")
    show(series, plan, await freezing.measure(plan.wallets_to_freeze), console)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each cell runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each cell runs")
    parser.add_argument("--smoke", action="store_true", help="one setting of each cell, 0.3 s")
    given = parser.parse_args()
    plan = Plan(given.seconds, given.rounds, (8, 16, 32), (64, 256), wallets_to_freeze=200)
    asyncio.run(bench(Plan(0.3, 1, (8,), (16,), wallets_to_freeze=2) if given.smoke else plan))


if __name__ == "__main__":
    main()
