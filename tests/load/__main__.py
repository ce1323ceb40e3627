"""`make bench`: the platform's speed beside PostgreSQL's own limit, in one go.

Cells are interleaved over the rounds and medians compared, because machines are noisy: what counts are the ratios. Only
a run of every cell writes `docs/benchmarks.md`.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from tests import pages
from tests.load import before, history, page, report
from tests.load.before import Comparison
from tests.load.database import WALLETS
from tests.load.measuring import Run
from tests.load.plan import CELLS, BenchPlan, smoke

from engines import checkout
from servicekit.clock import monotonic_s
from servicekit.serving import tame_garbage_collection

RESULTS = Path(".local/results")
PAGE = Path("docs/benchmarks.md")
VISIBLE_S = 30.0
SIZES = "10000,100000,1000000,10000000"


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--cells", default=",".join(CELLS), help=f"which of {', '.join(CELLS)}")
    parser.add_argument("--sizes", default=SIZES, help="journal rows of the cells `sizes`")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each cell runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each cell runs")
    parser.add_argument("--events", type=int, default=1_000_000, help="the backlog to drain")
    parser.add_argument("--past", type=int, default=1_000_000, help="the entries that the history is asked about")
    parser.add_argument("--before", help="a commit that each round runs first, in a worktree of its own")
    parser.add_argument("--per-s", type=float, default=500.0, help="transfers a second asked of both platforms")
    parser.add_argument("--smoke", action="store_true", help="one setting of each cell, 0.3 s")
    given = parser.parse_args(words)
    given.cells = frozenset(name for name in given.cells.split(",") if name)
    if unknown := given.cells - CELLS.keys():
        parser.error(f"unknown cells: {', '.join(sorted(unknown))}")
    return given


def _plan(given: argparse.Namespace) -> BenchPlan:
    if given.smoke:
        return smoke(given.cells)
    return BenchPlan(
        cells=given.cells,
        seconds=given.seconds,
        rounds=given.rounds,
        clients=(8, 16, 32, 64),
        connections=(64, 256),
        batches=(100, 1_000),
        pools=(4, 8, 16),
        instances=(2, 4),
        sizes=tuple(int(rows) for rows in given.sizes.split(",") if rows),
        wallets=1_000_000,
        due_holds=100_000,
        open_holds=1_000_000,
        backlog_events=given.events,
        past_events=history.EVENTS,
        past_times=max(2, given.past // history.EVENTS),
        old_keys=300_000,
        replays=500,
        wallets_to_freeze=200,
        visible_s=VISIBLE_S,
    )


def _compare(given: argparse.Namespace, console: Console) -> int:
    """Measure the cells on an earlier commit and on this checkout in turn."""
    comparison = Comparison(
        roots={"before": before.checked_out(given.before), "this": checkout.ROOT},
        cells=given.cells,
        rounds=given.rounds,
        seconds=given.seconds,
        visible_s=VISIBLE_S,
        per_s=given.per_s,
    )
    tame_garbage_collection()
    told = asyncio.run(before.measure(comparison, console))
    report.write(told, RESULTS / "bench-before.json")
    console.print(f"written to {RESULTS}/bench-before.json")
    return 0


def main(words: Sequence[str]) -> int:
    """Measure what *words* ask for, print it, write it, and return the exit code."""
    given = _arguments(words)
    if given.before:
        return _compare(given, Console())
    plan, console, machine = _plan(given), Console(), pages.machine()
    tame_garbage_collection()  # the committer in process, as in its own process, and on its loop
    began_s = monotonic_s()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(Run(plan, console).measure())
    command = " ".join(("python -m tests.load", *words)) if words else "make bench"
    told = report.document(plan, outcome, command=command, took_s=round(monotonic_s() - began_s), machine=machine)
    report.show(told, outcome, console)
    name = "bench-smoke" if given.smoke else "bench" if plan.cells == CELLS.keys() else "bench-part"
    report.write(told, RESULTS / f"{name}.json")
    console.print(f"written to {RESULTS / name}.json", soft_wrap=True)
    if name != "bench-part":
        target = PAGE if name == "bench" else RESULTS / f"{name}.md"
        page.write(told, target, wallets=WALLETS)
        console.print(f"written to {target}")
    if outcome.failed:
        console.print(f"failed: {'; '.join(outcome.failed)}")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
