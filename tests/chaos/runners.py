"""Runs side by side: each runner is a process with a PostgreSQL of its own, for most of a run is waiting."""

import asyncio
import multiprocessing
import shutil
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue

from tests.chaos import report
from tests.chaos.platform.platform import Site, open_site
from tests.chaos.run import Fault, RunResult, judge

from engines import accounts, tether

# Forked, so that faults need not be written down for them.
_FORKING = multiprocessing.get_context("fork")
ENDED_WITHIN_S = 120.0
"""A runner that is told to end has no run under way: it stops its PostgreSQL, which is given 30 s, and goes."""
REAPED_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """One run: the fault's id, the seed, and the seconds of load."""

    fault: str
    seed: int
    seconds: float


class Runner:
    """A process that runs one task after another; not thread-safe."""

    def __init__(self, folder: Path, faults: Mapping[str, Fault]) -> None:
        self._connection, theirs = _FORKING.Pipe()
        self._process = _FORKING.Process(target=_serve, args=(theirs, self._connection, folder, faults))
        self._process.start()
        theirs.close()

    def run(self, task: Task) -> RunResult:
        """Run *task*; EOFError where the runner has ended."""
        self._connection.send(task)
        result: RunResult = self._connection.recv()
        return result

    def close(self) -> None:
        """Let the runner end what it has started, and itself."""
        self._connection.close()
        end(self._process)


def end(process: BaseProcess, *, within_s: float = ENDED_WITHIN_S) -> None:
    """Wait until *process* has ended by itself; kill it where that takes longer."""
    process.join(within_s)
    if process.is_alive():
        process.kill()
        process.join(REAPED_WITHIN_S)


@contextmanager
def open_runners(folder: Path, faults: Mapping[str, Fault], count: int) -> Iterator[Sequence[Runner]]:
    """Open *count* runners, each with a folder of its own below *folder*."""
    with ExitStack() as stack:
        runners = []
        for number in range(count):
            own = folder / f"runner-{number}"
            accounts.make_passable(own)
            runners.append(Runner(own, faults))
            stack.callback(runners[-1].close)
        yield runners


def run_tasks(tasks: Sequence[Task], runners: Sequence[Runner]) -> Iterator[RunResult]:
    """Run *tasks* on whichever runner is free, and give the results as they come."""
    free: SimpleQueue[Runner] = SimpleQueue()
    for runner in runners:
        free.put(runner)

    def run(task: Task) -> RunResult:
        runner = free.get()
        try:
            return runner.run(task)
        finally:
            free.put(runner)

    with ThreadPoolExecutor(len(runners)) as pool:
        for done in as_completed([pool.submit(run, task) for task in tasks]):
            yield done.result()


def _serve(tasks: Connection, ours: Connection, folder: Path, faults: Mapping[str, Fault]) -> None:
    """Be a runner until the other end of *tasks* is closed: of that end, *ours*, the fork has a copy."""
    ours.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started us in the background
    tether.end_with_parent(signal.SIGINT)
    with open_site(folder) as site:
        while (task := _next(tasks)) is not None:
            tasks.send(asyncio.run(_run_one(site, faults[task.fault], task)))


def _next(tasks: Connection) -> Task | None:
    try:
        task: Task = tasks.recv()
    except EOFError:
        return None
    return task


async def _run_one(site: Site, fault: Fault, task: Task) -> RunResult:
    """Run once; a run that cannot be finished is a breach of its own."""
    began_s = time.monotonic()
    try:
        result = await judge(site, fault, task.seed, task.seconds)
    except Exception:  # noqa: BLE001  whatever it was, the other faults are still to be run
        result = RunResult.unfinished(fault, task.seed, time.monotonic() - began_s, traceback.format_exc())
    _clear(site.folder / f"{fault.id}-{task.seed}", keeps_logs=not result.holds)
    return result


def _clear(folder: Path, *, keeps_logs: bool) -> None:
    """Remove what a run has left; keep what its processes wrote where it failed."""
    if keeps_logs:
        kept = report.LOGS / folder.name
        kept.mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            shutil.copy(log, kept)
    shutil.rmtree(folder, ignore_errors=True)
