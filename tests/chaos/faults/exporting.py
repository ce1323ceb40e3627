"""Faults while the history makes files: workers die, the store refuses, is slow or full, PostgreSQL is restarted."""

import time
from typing import Final

from tests.chaos.faults.killing import CLIENTS, HIT_MIN, arm, boundaries, chosen, killed_at
from tests.chaos.load import files
from tests.chaos.load.files import FORMS
from tests.chaos.platform.product import HISTORY_WORKERS
from tests.chaos.run import Bite, Fault, Run

OWNER: Final = "owner-3"
KILLS: Final = 12


async def kill_in_exports(run: Run) -> Bite:
    """F52: workers die at statements about jobs, at their COMMITs and at objects, while two files are made."""
    breaches = await files.ended(run, [await files.export(run, form, OWNER) for form in FORMS])
    points = chosen(run, boundaries(run, "history_jobs.job"), KILLS)
    began_s, hit, made = time.monotonic(), 0, 0
    for point in points:
        arm(run, point)
        jobs = [await files.export(run, form, OWNER) for form in FORMS]
        hit += await killed_at(run, point)
        breaches += [f"{each}, killed at {point}" for each in await files.ended(run, jobs)]
        made += len(jobs)
    seconds = time.monotonic() - began_s
    if hit < HIT_MIN * len(points):
        breaches.append(f"no worker came to {len(points) - hit} of {len(points)} boundaries")
    what = f"workers killed at {hit} of {len(points)} boundaries, {made} exports made in {seconds:.0f} s"
    return Bite(what=what, count=hit, recovery_s=await run.recovery_s(time.monotonic()), breaches=breaches)


FAULTS = (
    Fault(
        id="F52-export",
        title="kill -9 the history's workers at the steps of exports",
        inflict=kill_in_exports,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
)
