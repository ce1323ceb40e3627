"""A gate at a precise point of a process: the supervisor arms it, the process that comes there first does as armed.

It is a folder: `<point>.armed` holds the action, whoever renames it has taken it, `<point>.reached` tells who and with
what, `<point>.released` lets a held process go on.
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

GATES = "CHAOS_GATES"
"""The variable with the folder."""
POISON = "CHAOS_POISON"
"""The variable with the wallets that a projector is to choke on."""
SLOW_S = "CHAOS_SLOW_S"
"""The variable with the seconds that a projector takes for each event besides."""
POLL_S = 0.005
HOLD_S_MAX = 30.0


class Action(StrEnum):
    """What a process does at the point: wait to be released, stop or kill itself, or what the point itself is for."""

    HOLD = "hold"
    STOP = "stop"
    KILL = "kill"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Reached:
    """The process that came to the point, and what it told."""

    pid: int
    facts: dict[str, Any]


class Gate:
    """Both sides of the gates in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_process(cls) -> Self:
        """Return the gates that this process was given."""
        return cls(Path(os.environ[GATES]))

    # -- the supervisor's side

    def arm(self, point: str, action: Action, *, key: str = "") -> None:
        """Have the next process at *point* do *action*; with *key*, the next one whose batch has that key."""
        for old in ("reached", "released"):
            self._file(point, old).unlink(missing_ok=True)
        self._write(point, "armed", f"{action.value} {key}")

    async def wait_reached(self, point: str, *, within_s: float) -> Reached:
        """Return who came to *point*; TimeoutError when nobody does in time."""
        path = self._file(point, "reached")
        async with asyncio.timeout(within_s):
            while not path.exists():  # noqa: ASYNC110  the event is in another process
                await asyncio.sleep(POLL_S)
        told = json.loads(path.read_text())
        return Reached(told.pop("pid"), told)

    def release(self, point: str) -> None:
        """Let the process that is held at *point* go on."""
        self._write(point, "released", "")

    def noted(self, prefix: str) -> dict[str, str]:
        """Return what processes have noted under names that begin with *prefix*."""
        return {path.stem: path.read_text() for path in sorted(self._folder.glob(f"{prefix}*.noted"))}

    def is_reached(self, point: str) -> bool:
        """Return whether somebody came to *point* since it was armed."""
        return self._file(point, "reached").exists()

    # -- the process's side

    def note(self, name: str, text: str) -> None:
        """Note *text* for the supervisor."""
        self._write(name, "noted", text)

    def waits_for(self, point: str, facts: dict[str, Any], *, action: Action | None = None) -> bool:
        """Return whether *point* is armed for this process, with *action* where given, without taking it."""
        try:
            armed, _, key = self._file(point, "armed").read_text().partition(" ")
        except FileNotFoundError:
            return False
        return (not key or key in facts["keys"]) and action in {None, armed}

    def take(self, point: str, facts: dict[str, Any]) -> Action | None:
        """Return what to do at *point*, to one process and once; None if it is not armed for this one."""
        armed = self._file(point, "armed")
        try:
            action, _, key = armed.read_text().partition(" ")
            if key and key not in facts["keys"]:
                return None
            armed.rename(self._file(point, f"taken-{os.getpid()}"))
        except FileNotFoundError:
            return None
        return Action(action)

    def tell(self, point: str, facts: dict[str, Any]) -> None:
        """Tell the supervisor that this process is at *point*."""
        self._write(point, "reached", json.dumps({"pid": os.getpid(), **facts}))

    async def reach(self, point: str, facts: dict[str, Any]) -> None:
        """Do at *point* what it is armed with, if anything."""
        action = self.take(point, facts)
        if action is None:
            return
        self.tell(point, facts)
        if action is Action.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        elif action is Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif action is Action.HOLD:
            await self._wait_released(point)

    async def _wait_released(self, point: str) -> None:
        path = self._file(point, "released")
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S_MAX):
                while not path.exists():  # noqa: ASYNC110  the event is in another process
                    await asyncio.sleep(POLL_S)

    def _file(self, point: str, state: str) -> Path:
        return self._folder / f"{point}.{state}"

    def _write(self, point: str, state: str, text: str) -> None:
        """Write in one step, so that nobody reads half of it; another process may write the same."""
        partial = self._file(point, f"{state}.partial-{os.getpid()}")
        partial.write_text(text)
        partial.rename(self._file(point, state))
