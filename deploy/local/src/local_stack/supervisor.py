"""Keeps processes running: starts them after what they need, restarts what crashes, stops them in reverse."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from signal import SIGCONT

from engines.daemon import REAP_S_MAX, Command, kill_family, log_tail, spawn
from engines.engine import Engine
from engines.errors import EngineError
from engines.ports import LOOPBACK
from local_stack.errors import StackError

POLL_S = 0.1
WATCH_S = 0.25
HEALTH_EVERY_S = 5.0
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
# After so long in service a crash counts as the first one again.
STABLE_AFTER_S = 60.0
# A process that never became ready is broken, not unlucky.
FIRST_START_ATTEMPTS = 3


async def run_once(command: Command) -> None:
    """Run a command to its end; StackError with the end of its log when it fails."""
    process = spawn(command)
    try:
        while (code := process.poll()) is None:  # noqa: ASYNC110 - a child's end is polled, on every platform alike
            await asyncio.sleep(POLL_S)
    finally:
        kill_family(process.pid)
        process.wait()
    if code != 0:
        raise StackError(f"{command.name} ended with {code}:\n{log_tail(command.log)}")


async def together(*steps: Coroutine[None, None, None]) -> None:
    """Take several steps at once; the first EngineError or StackError ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in steps:
                group.create_task(each)
    except* (EngineError, StackError) as errors:
        raise errors.exceptions[0] from None


class State(StrEnum):
    """What a supervised process is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "not ready"
    CRASHED = "crashed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One process to keep running. `is_ready` gets the pid, may block, and runs in a thread."""

    command: Command
    is_ready: Callable[[int], bool]
    address: str
    after: tuple[str, ...] = ()
    ready_within_s: float = 60.0
    drain_s: float = 30.0
    # Whether `is_ready` goes on being a fair question after the start.
    is_watched: bool = True

    @property
    def name(self) -> str:
        """The name of the process."""
        return self.command.name


def engine_unit(engine: Engine, *, drain_s: float, name: str | None = None, is_watched: bool = True) -> Unit:
    """Return the unit that runs *engine*, under another *name* than its own where that is given."""
    command = engine.command()
    return Unit(
        command=replace(command, name=name or command.name),
        is_ready=engine.is_ready,
        address=f"{LOOPBACK}:{engine.port}",
        ready_within_s=engine.ready_within_s,
        drain_s=drain_s,
        is_watched=is_watched,
    )


class Supervised:
    """One unit with its state. `pid` is None while no process runs."""

    def __init__(self, unit: Unit, on_change: Callable[["Supervised"], None]) -> None:
        """Take the unit and what is called at every change of state."""
        self.unit = unit
        self.state = State.WAITING
        self.detail = ""
        self.restarts = 0
        self.has_been_ready = asyncio.Event()
        self.has_ended = asyncio.Event()
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the process that runs now."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it and return once it is ready; StackError with the end of its log when it cannot become ready."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.unit.name}")
        ready = asyncio.create_task(self.has_been_ready.wait())
        try:
            await asyncio.wait({self._keeper, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._keeper.done():
            self._keeper.result()

    async def stop(self) -> None:
        """Ask it to drain and end, and kill it when that takes longer than its drain allows."""
        self._stopping.set()
        if self._keeper is not None:
            if self._process is not None:
                self._become(State.STOPPING)
                self._process.send_signal(SIGCONT)
                self._process.send_signal(self.unit.command.stop_signal)
            await self._await_keeper(self._keeper)
        self._become(State.STOPPED)
        self.has_ended.set()

    async def _await_keeper(self, keeper: asyncio.Task[None]) -> None:
        _, pending = await asyncio.wait({keeper}, timeout=self.unit.drain_s)
        if pending and self._process is not None:
            kill_family(self._process.pid)
        with contextlib.suppress(StackError):  # `start` has raised it already
            await keeper

    async def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            reason = await self._live()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - begun > STABLE_AFTER_S else failures + 1
            if not self.has_been_ready.is_set() and failures >= FIRST_START_ATTEMPTS:
                self._become(State.CRASHED, reason)
                raise StackError(f"{self.unit.name} {reason}:\n{log_tail(self.unit.command.log)}")
            delay_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** (failures - 1))
            self._become(State.CRASHED, f"{reason}; again in {delay_s:.1f} s")
            await self._sleep(delay_s)
            self.restarts += 1

    async def _live(self) -> str:
        """Run the process once; return why it ended."""
        self._process = spawn(self.unit.command)
        self._become(State.STARTING)
        try:
            return await self._watch(self._process)
        finally:
            self._process = None

    async def _watch(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + self.unit.ready_within_s
        next_question = 0.0
        while (code := process.poll()) is None:
            if not self._stopping.is_set() and time.monotonic() >= next_question:
                await self._ask(process.pid)
                if self.state is State.STARTING and time.monotonic() > deadline:
                    kill_family(process.pid)
                    process.wait(REAP_S_MAX)
                    return f"was not ready within {self.unit.ready_within_s:.0f} s"
                next_question = time.monotonic() + (0.0 if self.state is State.STARTING else HEALTH_EVERY_S)
            await asyncio.sleep(POLL_S if self.state is State.STARTING else WATCH_S)
        return f"ended with {code}"

    async def _ask(self, pid: int) -> None:
        if self.state is State.READY and not self.unit.is_watched:
            return
        is_ready = await asyncio.to_thread(self.unit.is_ready, pid)
        if self._stopping.is_set():
            return
        if is_ready and self.state is not State.READY:
            self._become(State.READY)
            self.has_been_ready.set()
        elif not is_ready and self.state is State.READY:
            self._become(State.UNREADY)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _become(self, state: State, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self._on_change(self)


class Supervisor:
    """Several units, started and stopped along their arrows."""

    def __init__(self, units: Iterable[Unit], on_change: Callable[[Supervised], None]) -> None:
        """Take the units; `after` names others of them."""
        self._on_change = on_change
        self.all = {each.name: Supervised(each, on_change) for each in units}

    async def start(self) -> None:
        """Start each once what it needs is ready; the first StackError ends the attempt (call `stop` then)."""
        await together(*(self._start_after(each) for each in self.all.values()))

    async def _start_after(self, supervised: Supervised) -> None:
        for name in supervised.unit.after:
            await self.all[name].has_been_ready.wait()
        await supervised.start()

    async def stop(self) -> None:
        """Stop each once everything that needs it has ended."""
        await self._end(self.all)

    async def rest(self, names: Collection[str]) -> None:
        """Stop those of *names*, and start again those that rested and are not among them.

        Raises StackError where one does not start; those that rest wait for nobody who goes on.
        """
        await self._end([name for name in self.all if name in names])
        waking = [name for name, each in self.all.items() if name not in names and each.has_ended.is_set()]
        for name in waking:
            self.all[name] = Supervised(self.all[name].unit, self._on_change)
        await together(*(self._start_after(self.all[name]) for name in waking))

    async def _end(self, names: Collection[str]) -> None:
        await together(*(self._stop_before(self.all[name], names) for name in names))

    async def _stop_before(self, supervised: Supervised, ending: Collection[str]) -> None:
        for name in ending:
            if supervised.unit.name in self.all[name].unit.after:
                await self.all[name].has_ended.wait()
        if not supervised.has_ended.is_set():
            await supervised.stop()
