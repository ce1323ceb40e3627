"""Prove what the platform survives: `python -m tests.chaos [--faults F1,F2] [--seeds 3] [--seconds 6]`.

Each fault is inflicted on real processes under a seeded load; an independent checker judges what is left. The exit code
is 0 only when every fault bit and every invariant held.
"""

import argparse
import asyncio
import shutil
import sys
import time
import traceback
from collections.abc import Iterable, Sequence

from tests.chaos import (
    faults_boundaries,
    faults_database,
    faults_ledger,
    faults_planted,
    faults_planted_stream,
    faults_poison,
    faults_receivers,
    faults_records,
    faults_repeats,
    faults_restarts,
    faults_stopped,
    faults_stream,
    faults_webhooks,
    report,
)
from tests.chaos.platform import Site, open_site
from tests.chaos.run import Fault, Verdict, judge

from local_stack import accounts
from testkit import engines

SEEDS = 3
FIRST_SEED = 1
SECONDS = 6.0


def _number(fault_id: str) -> str:
    """Return the number of the matrix: F7 of F7-worker."""
    return fault_id.partition("-")[0]


_MODULES = (
    faults_ledger,
    faults_boundaries,
    faults_database,
    faults_restarts,
    faults_records,
    faults_repeats,
    faults_poison,
    faults_stream,
    faults_stopped,
    faults_webhooks,
    faults_receivers,
    faults_planted,
    faults_planted_stream,
)
ONCE = frozenset(fault.id for module in (faults_planted, faults_planted_stream) for fault in module.FAULTS)
"""These try the checker: with the first seed alone, unless they are asked for."""
_ALL: Iterable[Fault] = (fault for module in _MODULES for fault in module.FAULTS)
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
    arguments = parser.parse_args(words)
    wanted = {name for name in (arguments.faults or ",".join(FAULTS)).split(",") if name}
    arguments.once = ONCE if arguments.faults is None else frozenset()
    arguments.faults = [name for name in FAULTS if {name, _number(name)} & wanted]
    if unknown := wanted - {alias for name in FAULTS for alias in (name, _number(name))}:
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    return arguments


async def _run_all(
    site: Site, faults: Sequence[Fault], seeds: Sequence[int], seconds: float, *, once: frozenset[str]
) -> list[Verdict]:
    verdicts = []
    for seed in seeds:
        for fault in (each for each in faults if seed == seeds[0] or each.id not in once):
            verdict = await _run_one(site, fault, seed, seconds)
            report.show(verdict, fault.title)
            verdicts.append(verdict)
    return verdicts


async def _run_one(site: Site, fault: Fault, seed: int, seconds: float) -> Verdict:
    """Run once; a run that cannot be finished is a breach of its own."""
    began_s = time.monotonic()
    try:
        verdict = await judge(site, fault, seed, seconds)
    except Exception:  # noqa: BLE001  whatever it was, the other faults are still to be run
        verdict = Verdict.unfinished(fault, seed, time.monotonic() - began_s, traceback.format_exc())
    if not verdict.holds:
        _keep_logs(site, f"{fault.id}-{seed}")
    return verdict


def _keep_logs(site: Site, name: str) -> None:
    """Keep what the processes of a failed run wrote."""
    kept = report.LOGS / name
    kept.mkdir(parents=True, exist_ok=True)
    for log in (site.folder / name).glob("*.log"):
        shutil.copy(log, kept)


def main(words: Sequence[str]) -> int:
    """Run what *words* ask for, print the table, write the results, return the exit code."""
    arguments = _arguments(words)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    home = accounts.home_for(accounts.unprivileged_account())
    with engines.run_folder(home) as folder, open_site(folder) as site:
        faults = [FAULTS[name] for name in arguments.faults]
        verdicts = asyncio.run(_run_all(site, faults, seeds, arguments.seconds, once=arguments.once))
    report.table(verdicts)
    report.write(verdicts, arguments.seconds)
    return 0 if verdicts and all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
