"""What others can read of a running stack: `stack.json`, and a lock that says whether one runs and who it is."""

import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engines import locks
from local_stack.errors import StackError

PROBES_MAX = 5
PROBE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The content of `stack.json`: service and process addresses, application DSNs by service, the broker.

    *outsiders* are addresses for roles that are no service's own, *gateway* is the process before the APIs where there
    is one, *observers* are those that look at the others, *release* is how the one that clients reach is called.
    """

    services: Mapping[str, str]
    processes: Mapping[str, tuple[int | None, str]]
    postgres: Mapping[str, str]
    kafka: str
    outsiders: Mapping[str, str]
    observers: Mapping[str, tuple[int | None, str]]
    gateway: tuple[int | None, str] | None = None
    release: str = ""

    def as_json(self) -> str:
        """Return the document."""
        document: dict[str, Any] = {
            "services": {name: {"url": url} for name, url in self.services.items()},
            "processes": {name: {"pid": pid, "url": url} for name, (pid, url) in self.processes.items()},
            "postgres": dict(self.postgres),
            "kafka": self.kafka,
            "release": self.release,
            "outsiders": dict(self.outsiders),
            "observers": {name: {"pid": pid, "url": url} for name, (pid, url) in self.observers.items()},
        }
        if self.gateway is not None:
            pid, url = self.gateway
            document["gateway"] = {"pid": pid, "url": url}
        return json.dumps(document, indent=2) + "\n"


def description_file(state: Path) -> Path:
    """Return where `stack.json` is while a stack serves."""
    return state / "stack.json"


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read: it holds passwords. Readers see the old or the new, never half."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def hold(state: Path) -> IO[str]:
    """Take the stack's lock for this process; StackError when another stack runs. Close the handle to give it up."""
    handle = take(_lock_file(state))
    if handle is None:
        raise StackError(f"a stack runs already (pid {running_pid(state)}): `make down` stops it")
    return handle


def running_pid(state: Path) -> int | None:
    """Return the pid of the process that holds the stack, or None if none does."""
    return holder(_lock_file(state))


def take(path: Path) -> IO[str] | None:
    """Return a handle that holds the lock at *path* for this process until it is closed, None if another has it."""
    handle = locks.take(path)
    for _ in range(PROBES_MAX):  # who asks whether one runs holds the lock for a moment
        if handle is not None:
            break
        time.sleep(PROBE_S)
        handle = locks.take(path)
    if handle is not None:
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
    return handle


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock at *path*, or None if none does."""
    handle = locks.take(path)
    if handle is not None:
        handle.close()
        return None
    text = path.read_text()
    return int(text) if text else None


def _lock_file(state: Path) -> Path:
    return state / "stack.lock"


def passwords(state: Path, roles: Iterable[str]) -> dict[str, str]:
    """Return each role's password, made once and kept with the data so that addresses stay the same."""
    path = state / "data" / "passwords.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {role: secrets.token_urlsafe(18) for role in roles if role not in known}
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(known | missing, indent=2))
    return known | missing
