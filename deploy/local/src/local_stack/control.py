"""What the commands do with a stack: follow it, detach it, stop it, show it, clean up after it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Column, Table

from engines import accounts, checkout, daemon
from engines.ports import is_taken
from local_stack import beside, state
from local_stack.config import Config
from local_stack.display import Display
from local_stack.errors import StackError
from local_stack.processes import says_ready
from local_stack.stack import Stack

POLL_S = 0.1
UP_WITHIN_S = 600.0  # the first start may resolve jars over a slow line
DOWN_WITHIN_S = 120.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def follow(config: Config, console: Console) -> None:
    """Run the stack in this process until Ctrl-C or SIGTERM, then stop it in order."""
    asked_to_stop = asyncio.Event()
    for each in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(each, asked_to_stop.set)
    with state.hold(config.state), Display(console) as display:
        stack = Stack(config, on_change=lambda: display.refresh(stack))
        asyncio.get_running_loop().add_signal_handler(beside.LOOK_AGAIN, stack.look_again)
        try:
            await _run_until(asked_to_stop, stack)
        finally:
            await stack.stop()


async def _run_until(asked_to_stop: asyncio.Event, stack: Stack) -> None:
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    try:
        await starting
        await stopping
    finally:
        stopping.cancel()


def detach(config: Config, console: Console) -> None:
    """Start the stack as a process of its own and return when it serves; StackError with its log when it does not."""
    running = state.running_pid(config.state)
    if running is not None:
        raise StackError(f"a stack runs already (pid {running}): `make down` stops it")
    state.description_file(config.state).unlink(missing_ok=True)  # of a stack that was killed
    log = config.logs / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_stack", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(config.environment),
            start_new_session=True,
        )
    _wait_until_up(config, process)
    console.print(f"up (pid {process.pid}); `make down` stops it")
    show(config, console)
    process.returncode = 0  # it lives on by intention


def _wait_until_up(config: Config, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while not state.description_file(config.state).exists():
        if process.poll() is not None:
            raise StackError(f"the stack did not come up:\n{daemon.log_tail(config.logs / 'stack.log')}")
        if time.monotonic() > deadline:
            process.terminate()
            raise StackError(f"the stack was not up within {UP_WITHIN_S:.0f} s: see {config.logs}")
        time.sleep(POLL_S)


def down(config: Config, console: Console) -> None:
    """Stop the running stack in order and wait for its end; say so when none runs."""
    pid = state.running_pid(config.state)
    if pid is None:
        console.print("no stack runs")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_WITHIN_S
    while state.running_pid(config.state) == pid:
        if time.monotonic() > deadline:
            raise StackError(f"the stack (pid {pid}) has not ended within {DOWN_WITHIN_S:.0f} s: see {config.logs}")
        time.sleep(POLL_S)
    console.print("stopped")


def show(config: Config, console: Console) -> None:
    """Print every process of the running stack and whether it is ready."""
    if state.running_pid(config.state) is None or not state.description_file(config.state).exists():
        console.print("no stack runs, or it is not up yet")
        return
    document = json.loads(state.description_file(config.state).read_text())
    table = Table("process", "state", "pid", Column("address", overflow="fold"), box=None, header_style="bold")
    for name, process in document["processes"].items():
        is_ready = says_ready(int(process["url"].rpartition(":")[2]))
        table.add_row(name, "ready" if is_ready else "not ready", str(process["pid"]), process["url"])
    beside = {**({"gateway": document["gateway"]} if "gateway" in document else {}), **document["observers"]}
    for name, process in beside.items():
        is_there = is_taken(int(process["url"].rpartition(":")[2]))
        table.add_row(name, "ready" if is_there else "not ready", str(process["pid"]), process["url"])
    table.add_row("kafka", "", "", document["kafka"])
    for service, dsn in document["postgres"].items():
        table.add_row(f"postgres of {service}", "", "", dsn.rpartition("@")[2])
    console.print(table)


def clean(config: Config, console: Console) -> None:
    """Stop the running stack and remove its data, logs and results; what `.local/cache` holds stays."""
    down(config, console)
    home = accounts.home_for(accounts.unprivileged_account(), config.state)
    # A home outside the checkout is nobody else's: it goes as a whole.
    data = home if home.name == checkout.unique_name(config.state) else home / "data"
    for folder in {config.state / "data", data, config.logs, config.state / "results", beside.folder(config.state)}:
        shutil.rmtree(folder, ignore_errors=True)
    console.print("removed data, logs and results")
