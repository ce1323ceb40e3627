"""A worker of the history with a gate at every boundary of what it writes of jobs and statements, and of its objects.

A statement is told by a digest of its text (`history-worker.1a2b3c4d`), the COMMIT of a transaction by its last one
(`history-worker.1a2b3c4d-commit`), the writing of an object is `history-worker.object`. A file says which there are.
"""

import asyncio
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from tests.chaos.platform.gate import Gate
from tests.chaos.platform.gated_access import gate_statements
from tests.chaos.platform.gated_ledger import Moment

from transaction_history.jobs.objects import Objects

PREFIX: Final = "history-worker"
PART_ROWS: Final = 1_000
"""So that a file of some seconds of load has parts."""
OBJECT: Final = f"{PREFIX}.object"
FULL: Final = f"{PREFIX}.full"
"""While this is armed, half of an object goes into the store."""
_OF_JOBS: Final = ("history_jobs.", "append_to_outbox")
_LAST: Final[ContextVar[str | None]] = ContextVar("last", default=None)
"""The task's last statement about jobs that is not committed."""


def gate_jobs() -> None:
    """Have this process ask the gate at every statement about jobs and statements, and write down which there are."""
    gate, seen = Gate.of_process(), set[str]()

    def named(sql: str) -> tuple[str, dict[str, Any]] | None:
        name = _name(sql)
        if name is None:
            return None
        if name not in seen:
            seen.add(name)
            gate.note(name, sql)
        return name, {"keys": []}

    gate_statements(named)


def _name(sql: str) -> str | None:
    if any(table in sql for table in _OF_JOBS):
        name = f"{PREFIX}.{hashlib.sha256(sql.encode()).hexdigest()[:8]}"
        _LAST.set(name)
        return name
    last = _LAST.get()
    if last is None or not sql.startswith("COMMIT"):
        return None
    _LAST.set(None)
    return f"{last}-commit"


class GatedObjects(Objects):
    """Asks the gate before an object is written and behind that; while `full` is armed, the store takes half of it."""

    _halved: Final = asyncio.Lock()
    """The limit that halves one file is the whole process's."""

    async def put(self, name: str, file: Path) -> None:
        gate, facts = Gate.of_process(), {"keys": [], "object": name}
        gate.note(OBJECT, "an object is written")
        await gate.reach(f"{OBJECT}-{Moment.BEFORE.value}", facts)
        if gate.waits_for(FULL, facts):
            gate.note(FULL, name)
            async with self._halved:
                with _half_of(file):
                    await super().put(name, file)
        else:
            await super().put(name, file)
        await gate.reach(f"{OBJECT}-{Moment.ANSWERED.value}", facts)


@contextmanager
def _half_of(file: Path) -> Iterator[None]:
    """Have the kernel refuse the second half of what is as large as *file*, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size // 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
