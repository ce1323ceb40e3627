"""Prove what the platform survives: `python -m tests.chaos [--faults F1,F2] [--seeds 3] [--hours 2]`.

Each fault is inflicted on real processes under a seeded load; an independent checker judges what is left. The exit code
is 0 only when every fault bit and every invariant held. A whole run begins with a long walk of the machine of money.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests import pages
from tests.chaos import machine, page, report
from tests.chaos.faults import (
    access,
    access_boundaries,
    access_poison,
    access_restore,
    boundaries,
    clock,
    closing,
    database,
    drifting,
    exporting,
    gateway,
    groups,
    keeping_house,
    key_sets,
    ledger,
    limits,
    load,
    network,
    partition,
    planted,
    planted_ahead,
    planted_stream,
    poison,
    policy,
    rates,
    rebuilding,
    receivers,
    records,
    refunds,
    repeats,
    restarts,
    restore,
    standby,
    stopped,
    stream,
    sweeping,
    tenants,
    webhooks,
)
from tests.chaos.run import Fault, RunResult
from tests.chaos.runners import Runner, Task, open_runners, run_tasks

from engines import accounts, temporary
from servicekit.clock import utc_now

SEEDS = 1
"""One whole seed is a run of half an hour; what is new is repeated with more."""
FIRST_SEED = 1
SECONDS = 6.0
PAGE = Path("docs/reliability.md")
RUNNERS = 2
"""Two cores are kept busy so; more runners on more cores would find the same."""


def _number(fault_id: str) -> str:
    """Return the number of the matrix: F7 of F7-worker."""
    return fault_id.partition("-")[0]


_MODULES = (
    ledger,
    boundaries,
    access_boundaries,
    access_restore,
    clock,
    database,
    restarts,
    standby,
    load,
    network,
    records,
    repeats,
    poison,
    policy,
    stream,
    sweeping,
    groups,
    stopped,
    partition,
    restore,
    webhooks,
    receivers,
    tenants,
    access,
    access_poison,
    key_sets,
    limits,
    planted,
    planted_ahead,
    planted_stream,
    rates,
    rebuilding,
    exporting,
    closing,
    drifting,
    refunds,
    gateway,
    keeping_house,
)
_PLANTED = (planted, planted_ahead, planted_stream)
_PLANTED_FAULTS = [
    *(fault for module in _PLANTED for fault in module.FAULTS),
    *standby.PLANTED,
    *keeping_house.PLANTED,
]
ONCE = frozenset(fault.id for fault in _PLANTED_FAULTS)
"""These try the checker: with the first seed alone, unless they are asked for."""
_OF_MODULES = (fault for module in _MODULES for fault in module.FAULTS)
_ALL: Iterable[Fault] = (*_OF_MODULES, *standby.PLANTED, *keeping_house.PLANTED)
FAULTS = {fault.id: fault for fault in sorted(_ALL, key=lambda each: (int(_number(each.id)[1:]), each.id))}


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--faults",
        help="Which faults, separated by commas: F7 for all that have the number, or F7-worker.",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="How many seeds each fault runs with.")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="The first of them, to repeat a run.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="How long the load lasts besides the fault.")
    parser.add_argument("--hours", type=float, default=0.0, help="Go on with new seeds until so many hours are over.")
    parser.add_argument("--steps", type=int, help="How many the machine of money walks: none where faults are chosen.")
    parser.add_argument("--runners", type=int, default=RUNNERS, help="How many runs go on side by side.")
    arguments = parser.parse_args(words)
    wanted = {name for name in (arguments.faults or ",".join(FAULTS)).split(",") if name}
    if arguments.steps is None:
        arguments.steps = machine.STEPS if arguments.faults is None else 0
    arguments.once = ONCE if arguments.faults is None else frozenset()
    arguments.faults = [name for name in FAULTS if {name, _number(name)} & wanted]
    if unknown := wanted - {alias for name in FAULTS for alias in (name, _number(name))}:
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    return arguments


def rounds(first: int, seeds: int, hours: float) -> Iterator[range]:
    """Give the seeds in rounds: *seeds* of them, then one after another until the *hours* are over."""
    until_s = time.monotonic() + hours * 3600
    yield range(first, first + seeds)
    for seed in itertools.count(first + seeds):
        if time.monotonic() > until_s:
            return
        yield range(seed, seed + 1)


def _tasks(arguments: argparse.Namespace, seeds: range) -> list[Task]:
    return [
        Task(name, seed, arguments.seconds)
        for seed in seeds
        for name in arguments.faults
        if seed == arguments.first_seed or name not in arguments.once
    ]


def _run_all(arguments: argparse.Namespace, runners: Sequence[Runner]) -> list[RunResult]:
    results = []
    for seeds in rounds(arguments.first_seed, arguments.seeds, arguments.hours):
        tasks = _tasks(arguments, seeds)
        beside = [task for task in tasks if not FAULTS[task.fault].is_alone]
        alone = [task for task in tasks if FAULTS[task.fault].is_alone]
        for some, free in ((beside, runners), (alone, runners[:1])):
            for result in run_tasks(some, free):
                report.show(result, FAULTS[result.fault].title)
                results.append(result)
    order = list(FAULTS)
    return sorted(results, key=lambda result: (result.seed, order.index(result.fault)))


def is_whole(faults: Sequence[str], steps: int) -> bool:
    """Return whether a run of *faults*, and of *steps* of the machine of money, is one that the page may tell of."""
    return set(faults) == FAULTS.keys() and steps >= machine.STEPS


def main(words: Sequence[str]) -> int:
    """Run what *words* ask for, print the table, write the results, return the exit code."""
    arguments = _arguments(words)
    began, began_s, on_what = utc_now(), time.monotonic(), pages.machine()
    walked = machine.walk(arguments.steps, arguments.first_seed) if arguments.steps else None
    home = accounts.home_for(accounts.unprivileged_account())
    with temporary.run_folder(home) as folder, open_runners(folder, FAULTS, arguments.runners) as runners:
        results = _run_all(arguments, runners)
    report.table(results)
    told = report.document(
        results,
        titles={fault.id: fault.title for fault in FAULTS.values()},
        command=" ".join(("python -m tests.chaos", *words)) if words else "make chaos",
        began=f"{began:%Y-%m-%d %H:%M} UTC",
        took_s=round(time.monotonic() - began_s),
        machine=on_what,
        money=walked,
        runners=arguments.runners,
        seconds_of_load=arguments.seconds,
    )
    whole = is_whole(arguments.faults, arguments.steps)
    report.write(told, report.RESULTS / ("chaos.json" if whole else "chaos-part.json"))
    if whole:
        page.write(told, PAGE)
    has_walked = walked is None or not walked["breach"]
    return 0 if results and all(result.holds for result in results) and has_walked else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
