"""Releases that run beside the stack's own processes: where each tells of itself, and what it is told to run.

Each has a folder below `release/` of the stack's: a lock that its process holds, `running.json` with what it runs, and
`orders.json` with the names of processes that are to rest. The stack itself has orders, too.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engines.daemon import kill_family
from engines.errors import EngineError
from local_stack import state
from local_stack.errors import StackError
from local_stack.supervisor import Supervisor

LOOK_AGAIN: Final = signal.SIGUSR1
"""Says that there are other orders, or that a release beside the stack has changed."""
ENDED_WITHIN_S: Final = 90.0
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Running:
    """One process of a release: its kind's service and name as Prometheus labels them, its address and its pid."""

    service: str
    process: str
    url: str
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A release that runs beside the stack: its services' first API, and its processes, by name."""

    release: str
    services: Mapping[str, str]
    processes: Mapping[str, Running]


def folder(stack: Path) -> Path:
    """Return where releases have their folders, of the stack in *stack*."""
    return stack / "release"


def lock_file(home: Path) -> Path:
    """Return the lock that the process of the release in *home* holds."""
    return home / "run.lock"


def write_orders(home: Path, rest: Collection[str]) -> None:
    """Have the processes *rest* of who stands in *home* rest, and its others run, once it looks again."""
    home.mkdir(parents=True, exist_ok=True)
    state.write_private(home / "orders.json", json.dumps({"rest": sorted(rest)}) + "\n")


def orders(home: Path) -> frozenset[str]:
    """Return which processes are to rest; none where nothing was ordered."""
    try:
        return frozenset(json.loads((home / "orders.json").read_text())["rest"])
    except FileNotFoundError:
        return frozenset()


def forget_orders(home: Path) -> None:
    """Have who stands in *home* run everything, when it starts."""
    (home / "orders.json").unlink(missing_ok=True)


def write_serving(stack: Path, release: str) -> None:
    """Tell that clients reach *release* from now on; the stack's own is ""."""
    folder(stack).mkdir(parents=True, exist_ok=True)
    state.write_private(folder(stack) / "serving.json", json.dumps({"release": release}) + "\n")


def serving(stack: Path) -> str:
    """Return which release clients reach; the stack's own is ""."""
    try:
        return str(json.loads((folder(stack) / "serving.json").read_text())["release"])
    except FileNotFoundError:
        return ""


def forget(stack: Path) -> None:
    """Forget what was ordered of a stack that ran before: a new one runs all of its own."""
    forget_orders(folder(stack))
    for name in ("serving.json", "state.json"):
        (folder(stack) / name).unlink(missing_ok=True)


def write_running(home: Path, told: Beside) -> None:
    """Tell what runs."""
    document = {**asdict(told), "processes": {name: asdict(each) for name, each in told.processes.items()}}
    state.write_private(home / "running.json", json.dumps(document, indent=2) + "\n")


def running(stack: Path) -> Iterator[Beside]:
    """Give each release that runs beside the stack now."""
    for home in sorted(folder(stack).glob("*/")):
        if state.holder(lock_file(home)) is None or not (home / "running.json").exists():
            continue
        document = json.loads((home / "running.json").read_text())
        processes = {name: Running(**each) for name, each in document["processes"].items()}
        yield Beside(release=document["release"], services=document["services"], processes=processes)


def end_all(stack: Path) -> None:
    """Have every release beside the stack drain and end, and kill one that does not in time."""
    pids = {home: state.holder(lock_file(home)) for home in folder(stack).glob("*/")}
    for pid in pids.values():
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
    for home, pid in pids.items():
        if pid is not None and not has_ended(home, pid):
            kill_family(pid)


def has_ended(home: Path, pid: int) -> bool:
    """Wait until the process *pid* of the release in *home* has ended; return whether it did in time."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while state.holder(lock_file(home)) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


class Obeying:
    """Has a supervisor do what is ordered of who stands in *home*; `look_again` says that something has changed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Look at the orders, and call what is called after that."""
        self._changed.set()

    async def obey(self, supervisor: Supervisor, then: Callable[[], None]) -> None:
        """Obey until cancelled. Who gives an order looks at the processes: one that cannot start is in its log."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await supervisor.rest(orders(self._home))
            except (EngineError, StackError) as error:
                print(f"a process could not be started again: {error}", flush=True)
            then()
