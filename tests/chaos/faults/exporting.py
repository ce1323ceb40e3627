"""Faults while the history makes files: workers die, the store refuses, is slow or full, PostgreSQL is restarted."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults.killing import (
    CLIENTS,
    HIT_MIN,
    OF_OBJECTS,
    OWNER,
    REACHED_WITHIN_S,
    arm,
    boundaries,
    chosen,
    killed_at,
)
from tests.chaos.load import exchanges, files
from tests.chaos.load.files import FORMS
from tests.chaos.load.reading import reading
from tests.chaos.platform.gate import Action
from tests.chaos.platform.gated_worker import FULL
from tests.chaos.platform.product import HISTORY_WORKERS, JOB_LEASE_S
from tests.chaos.run import Bite, Fault, Run

KILLS: Final = 12
FAILED_TIMES: Final = 2
"""The third attempt comes ten seconds later."""
SLOW_S: Final = 2.5 * JOB_LEASE_S


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


async def lose_store(run: Run) -> Bite:
    """F55: the store of files refuses, then is slow, then full; jobs wait for it, workers live, reads go on."""
    pids = {name: run.platform.pid(name) for name in HISTORY_WORKERS}
    async with reading(run, [run.platform.port("history")]) as reads:
        refused = await _failed(run, _refusing(run))
        slow = await _slow(run)
        full = await _failed(run, _full(run))
    recovery_s = await run.recovery_s(time.monotonic())
    breaches = [*refused.breaches, *slow, *full.breaches]
    if lost := [name for name, pid in pids.items() if not await run.platform.lives(name, pid)]:
        breaches.append(f"{', '.join(lost)} did not live on")
    answered = sum(each.status == exchanges.OK for each in reads)
    if answered < len(reads):
        breaches.append(f"{len(reads) - answered} of {len(reads)} reads failed")
    what = (
        f"the store refused {refused.attempts} attempts, took {SLOW_S:g} s for an object, was full for {full.attempts};"
        f" {answered} reads answered meanwhile"
    )
    return Bite(what=what, count=min(refused.attempts, full.attempts), recovery_s=recovery_s, breaches=breaches)


@dataclass(frozen=True, slots=True)
class _Failed:
    """How many attempts failed, and what is wrong with what was made afterwards."""

    attempts: int
    breaches: Sequence[str]


async def _failed(run: Run, away: AbstractContextManager[None]) -> _Failed:
    """Have files made while the store is *away* for two attempts at each; it is back then."""
    with away:
        jobs = [await files.export(run, form, OWNER) for form in FORMS]
        attempts = await _waiting(run, jobs)
    return _Failed(sum(attempts), await files.ended(run, jobs))


async def _waiting(run: Run, jobs: Sequence[str]) -> list[int]:
    """Wait until each job has failed twice, and waits for its next attempt; return how often each has failed."""
    until_s = time.monotonic() + REACHED_WITHIN_S
    while True:
        found = [await files.told(run, job_id) for job_id in jobs]
        attempts = [each["attempts"] for each in found]
        if all(each["attempts"] == FAILED_TIMES and each["status"] == "queued" for each in found):
            return attempts
        if time.monotonic() > until_s:
            raise TimeoutError(f"the store is away, and its jobs are {[each['status'] for each in found]}, {attempts}")
        await asyncio.sleep(files.POLL_S)


@contextmanager
def _refusing(run: Run) -> Iterator[None]:
    """Have a plain file where the folder was."""
    objects = run.platform.objects
    aside = objects.with_name("aside")
    objects.rename(aside)
    objects.touch()
    try:
        yield
    finally:
        objects.unlink()
        aside.rename(objects)


@contextmanager
def _full(run: Run) -> Iterator[None]:
    """Have half of each object go into the store."""
    run.platform.gate.arm(FULL, Action.OWN)
    try:
        yield
    finally:
        run.platform.gate.take(FULL, {"keys": []})


async def _slow(run: Run) -> list[str]:
    """Have an object take longer than a job's lease; return what is wrong: the job is to be made at once."""
    point = OF_OBJECTS[0]
    run.platform.gate.arm(point, Action.HOLD)
    job_id = await files.export(run, FORMS[0], OWNER)
    await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
    await asyncio.sleep(SLOW_S)
    run.platform.gate.release(point)
    breaches = await files.ended(run, [job_id])
    attempts = (await files.told(run, job_id))["attempts"]
    return [*breaches, *([f"{attempts} attempts at a file whose store is slow"] if attempts != 1 else [])]


FAULTS = (
    Fault(
        id="F52-export",
        title="kill -9 the history's workers at the steps of exports",
        inflict=kill_in_exports,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
    Fault(
        id="F55",
        title="the store of the history's files refuses, is slow, is full",
        inflict=lose_store,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
)
