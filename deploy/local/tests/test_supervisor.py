import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from engines.daemon import Command
from engines.ports import free_ports
from local_stack.errors import StackError
from local_stack.processes import says_ready
from local_stack.supervisor import State, Supervised, Supervisor, Unit

FAKE = Path(__file__).with_name("fake_process.py")
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"


class Changes:
    """Lets a test wait for what the supervisor tells."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.seen: list[tuple[str, State]] = []

    def __call__(self, supervised: Supervised) -> None:
        self.seen.append((supervised.unit.name, supervised.state))
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def running(*units: Unit) -> AsyncIterator[tuple[Supervisor, Changes]]:
    changes = Changes()
    supervisor = Supervisor(units, changes)
    try:
        await supervisor.start()
        yield supervisor, changes
    finally:
        await supervisor.stop()


def has_come_back(supervised: Supervised, times: int) -> bool:
    return supervised.restarts == times and supervised.state is State.READY


def fake(name: str, folder: Path, *, after: tuple[str, ...] = ()) -> Unit:
    (port,) = free_ports(1)
    argv = (sys.executable, str(FAKE), "PORT")
    command = Command(name=name, argv=argv, log=folder / f"{name}.log", env={"PORT": str(port)})
    return Unit(command=command, is_ready=partial(says_ready, port), address=str(port), after=after)


def script(name: str, folder: Path, code: str, *, drain_s: float = 30.0) -> Unit:
    command = Command(name=name, argv=(sys.executable, "-c", code), log=folder / f"{name}.log")
    return Unit(command=command, is_ready=lambda _: "deaf" in command.log.read_text(), address="", drain_s=drain_s)


async def test_a_crashed_process_is_restarted_under_another_pid(tmp_path: Path) -> None:
    async with running(fake("one", tmp_path)) as (supervisor, changes):
        one = supervisor.all["one"]
        first = one.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)
        await changes.until(partial(has_come_back, one, 1))

        assert one.pid not in {first, None}
        assert ("one", State.CRASHED) in changes.seen


async def test_the_wait_before_a_restart_doubles(tmp_path: Path) -> None:
    async with running(fake("one", tmp_path)) as (supervisor, changes):
        one = supervisor.all["one"]
        told = []

        for crash in (1, 2):
            assert one.pid is not None
            os.kill(one.pid, signal.SIGKILL)
            await changes.until(lambda: one.state is State.CRASHED)
            told.append(one.detail)
            await changes.until(partial(has_come_back, one, crash))

        assert told == ["ended with -9; again in 0.5 s", "ended with -9; again in 1.0 s"]


async def test_a_process_that_never_serves_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = script("broken", tmp_path, "import sys; sys.exit('the address book is missing')")

    with pytest.raises(StackError, match=r"(?s)broken ended with 1.*the address book is missing"):
        async with running(broken):
            pass


async def test_processes_start_along_the_arrows_and_drain_against_them(tmp_path: Path) -> None:
    units = (fake("api", tmp_path, after=("relay",)), fake("relay", tmp_path))

    async with running(*units):
        pass

    moments = {name: moments_of(tmp_path / f"{name}.log") for name in ("api", "relay")}
    assert moments["relay"]["began"] < moments["api"]["began"]
    assert moments["api"]["drained"] < moments["relay"]["drained"]


async def test_a_process_that_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    async with running(script("deaf", tmp_path, DEAF, drain_s=0.1)) as (supervisor, _):
        pid = supervisor.all["deaf"].pid

    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_paused_process_is_shown_and_still_stops(tmp_path: Path) -> None:
    async with running(fake("one", tmp_path)) as (supervisor, changes):
        one = supervisor.all["one"]
        assert one.pid is not None

        os.kill(one.pid, signal.SIGSTOP)
        await changes.until(lambda: one.state is State.UNREADY)

    assert "drained" in moments_of(tmp_path / "one.log")


def test_a_port_where_nobody_answers_is_not_ready() -> None:
    (port,) = free_ports(1)

    assert not says_ready(port)


def moments_of(log: Path) -> dict[str, int]:
    """Return when the process began and drained, as it told among what it tells of clients that went away."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


async def test_what_is_to_rest_ends_for_those_who_go_on_and_is_waked_again(tmp_path: Path) -> None:
    relay, api = fake("relay", tmp_path), fake("api", tmp_path, after=("relay",))
    async with running(relay, api) as (supervisor, _):
        api_pid = supervisor.all["api"].pid

        await supervisor.rest({"relay"})
        rested = (supervisor.all["relay"].state, supervisor.all["relay"].pid)
        await supervisor.rest({"relay"})  # an order that comes twice does nothing
        await supervisor.rest(())

        assert rested == (State.STOPPED, None)
        assert supervisor.all["relay"].state is State.READY
        assert supervisor.all["api"].pid == api_pid


async def test_all_may_rest_and_be_waked(tmp_path: Path) -> None:
    relay, api = fake("relay", tmp_path), fake("api", tmp_path, after=("relay",))
    async with running(relay, api) as (supervisor, _):
        await supervisor.rest({"relay", "api"})
        rested = [each.state for each in supervisor.all.values()]
        await supervisor.rest(())

        assert rested == [State.STOPPED, State.STOPPED]
        assert [each.state for each in supervisor.all.values()] == [State.READY, State.READY]
