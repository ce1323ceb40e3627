"""The ledger with a gate at every boundary of its statements: before each is sent, while it is under way, behind it.

A boundary is the point `<step>-<moment>`. The steps are read off the ledger itself, so that a new one has its gates.
"""

import asyncio
import functools
import inspect
import os
import random
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Final

import asyncpg
from tests.chaos.platform.gate import Action, Gate

from wallet.adapters.ledger_postgres import Connection, PostgresLedger
from wallet.application.ports import Committed, Decide
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import UnitKey
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.rows import RowName

COMMIT_KILL_S_MAX: Final = 0.002
"""A commit with its flush takes about as long, so that kills fall before, into and after it."""
TURNS_TO_SEND: Final = 2
"""Of the event loop, until what was written is with the kernel."""


class Moment(StrEnum):
    """Where a process stands beside a statement."""

    BEFORE = "before"
    SENT = "sent"
    ANSWERED = "answered"


STEPS: Final = tuple(
    name
    for name, member in vars(PostgresLedger).items()
    if inspect.iscoroutinefunction(member) and "connection" in inspect.signature(member).parameters and name[0] != "_"
)
"""The ledger's statements: what it does on its connection."""
AHEAD: Final = frozenset({"commit_rows"})
"""Those of the path that is one call; the others are the path on locked rows."""
READING: Final = frozenset({"read_rows"})
"""Those that only read ahead: no command's key is there yet."""


def boundary(step: str, moment: Moment) -> str:
    """Return the gate's point."""
    assert step in STEPS, f"the ledger has no step {step}"
    return f"{step}-{moment.value}"


BOUNDARIES: Final = tuple(boundary(step, moment) for step in STEPS for moment in Moment)
WRITTEN: Final = boundary("write_rows", Moment.ANSWERED)
COMMITTING: Final = boundary("finish", Moment.SENT)
COMMITTED: Final = boundary("finish", Moment.ANSWERED)
_LOCKED: Final = tuple(boundary(step, moment) for step in STEPS if step not in AHEAD | READING for moment in Moment)


FACTS: Final[ContextVar[dict[str, Any]]] = ContextVar("facts")
"""What is told of the batch at hand: two may be under way, each in a task of its own."""


class GatedLedger(PostgresLedger):
    """Asks the gate at every boundary, and tells it the keys of the batch."""

    def __init__(self, dsn: str, *, gate: Gate, commit_lock: bool) -> None:
        super().__init__(dsn, kinds=CATALOG.kinds, commit_lock=commit_lock)
        self._gate = gate
        for step in STEPS:
            setattr(self, step, functools.partial(self._step, step, getattr(self, step)))

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        FACTS.set({"keys": []})
        return await super().read(names, keys)

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        FACTS.set({"keys": [key for _, key, _ in keys]})
        return await super().commit(names, keys, decide)

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        """Leave a batch that a gate waits for on the path on locked rows to that path."""
        FACTS.set({"keys": [row.key for row in rows.idempotency]})
        if any(self._gate.waits_for(point, FACTS.get()) for point in _LOCKED):
            raise asyncpg.SerializationError("a gate waits for this batch")
        return await super().commit_if_unchanged(keys, expected, rows)

    async def _step(
        self, step: str, call: Callable[..., Awaitable[Any]], connection: Connection, *arguments: Any
    ) -> Any:
        await self._gate.reach(boundary(step, Moment.BEFORE), FACTS.get())
        sent = boundary(step, Moment.SENT)
        if self._gate.waits_for(sent, FACTS.get()):
            answer = await self._under_way(sent, connection, asyncio.ensure_future(call(connection, *arguments)))
        else:
            answer = await call(connection, *arguments)
        await self._gate.reach(boundary(step, Moment.ANSWERED), FACTS.get())
        return answer

    async def _under_way(self, sent: str, connection: Connection, answering: "asyncio.Future[Any]") -> Any:
        """Do at *sent* what it is armed with while the answer is out; it stays armed where that came too soon."""
        for _ in range(TURNS_TO_SEND):
            await asyncio.sleep(0)
        if self._gate.waits_for(sent, FACTS.get(), action=Action.OWN):
            await self._kill_backend(sent, connection, answering)
        elif not answering.done():
            await self._gate.reach(sent, FACTS.get())
        return await answering

    async def _kill_backend(self, sent: str, connection: Connection, answering: "asyncio.Future[Any]") -> None:
        """Kill -9 the backend a moment later, and tell whether its answer was still out."""
        if self._gate.take(sent, FACTS.get()) is None:
            return
        await asyncio.sleep(random.uniform(0, COMMIT_KILL_S_MAX))
        backend, was_under_way = connection.get_server_pid(), not answering.done()
        os.kill(backend, signal.SIGKILL)
        self._gate.tell(sent, {**FACTS.get(), "backend": backend, "was_under_way": was_under_way})
