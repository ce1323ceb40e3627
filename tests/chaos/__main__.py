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
from collections.abc import Sequence

from tests.chaos import faults_ledger, faults_records, faults_stream, report
from tests.chaos.platform import Site, open_site
from tests.chaos.run import Fault, Verdict, judge

from local_stack import accounts
from testkit import engines

SEEDS = 3
FIRST_SEED = 1
SECONDS = 6.0
FAULTS = {
    fault.id: fault
    for fault in sorted(
        (*faults_ledger.FAULTS, *faults_records.FAULTS, *faults_stream.FAULTS), key=lambda each: int(each.id[1:])
    )
}


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", default=",".join(FAULTS), help="Which faults, by number, separated by commas.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="How many seeds each fault runs with.")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="The first of them, to repeat a run.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="How long the load lasts besides the fault.")
    arguments = parser.parse_args(words)
    arguments.faults = [name for name in arguments.faults.split(",") if name]
    if unknown := set(arguments.faults) - FAULTS.keys():
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    return arguments


async def _run_all(site: Site, faults: Sequence[Fault], seeds: Sequence[int], seconds: float) -> list[Verdict]:
    verdicts = []
    for seed in seeds:
        for fault in faults:
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
        verdict = Verdict.unfinished(fault.id, seed, time.monotonic() - began_s, traceback.format_exc())
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
        verdicts = asyncio.run(_run_all(site, faults, seeds, arguments.seconds))
    report.table(verdicts)
    report.write(verdicts, arguments.seconds)
    return 0 if verdicts and all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
