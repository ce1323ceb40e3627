"""Processes of access with a gate at every boundary of their statements, as the ledger has it.

A boundary is the point `<statement>-<moment>`. In the API the statements of a command are counted from the first of its
transaction (`create.03`: keys that begin with `f46.create.`); in relay and worker they are told by a digest of their
text (`access-relay.1a2b3c4d`), and a file says which there are.
"""

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

import asyncpg
from tests.chaos.platform.gate import Gate
from tests.chaos.platform.gated_ledger import TURNS_TO_SEND, Moment

from servicekit.idempotency import Answer, InFlight, Keyed, KeyedOperation, KeyReused, Once, R, Undone

PREFIX: Final = "f46"
"""Of the keys of commands whose statements are counted."""
COUNTED: Final = "counted"
_METHODS: Final = ("execute", "executemany", "fetch", "fetchrow", "fetchval")


class _Command:
    """A command at work: its operation, its key, and how many statements it has sent."""

    def __init__(self, operation: str, key: str) -> None:
        self.operation = operation
        self.key = key
        self.statements = 0


_COMMAND: Final[ContextVar[_Command | None]] = ContextVar("command", default=None)
_Method = Callable[..., Awaitable[Any]]


class GatedOnce(Once):
    """Counts the statements of a command, and tells their number when its transaction has ended (`create.counted`)."""

    async def run(self, keyed: Keyed, work: KeyedOperation[R]) -> Answer | Undone[R] | KeyReused | InFlight:
        prefix, _, rest = keyed.key.partition(".")
        if prefix != PREFIX:
            return await super().run(keyed, work)
        command = _Command(rest.partition(".")[0], keyed.key)
        token = _COMMAND.set(command)
        try:
            return await super().run(keyed, work)
        finally:
            _COMMAND.reset(token)
            gate = Gate.of_process()
            if gate.take(f"{command.operation}.{COUNTED}", {"keys": [keyed.key]}) is not None:
                gate.tell(f"{command.operation}.{COUNTED}", {"statements": command.statements})


def gate_commands() -> None:
    """Have this process ask the gate at every statement of a command, which a `GatedOnce` runs."""

    def named(_: str) -> tuple[str, dict[str, Any]] | None:
        command = _COMMAND.get()
        if command is None:
            return None
        command.statements += 1
        return statement_of(command.operation, command.statements), {"keys": [command.key]}

    gate_statements(named)


def gate_all(process: str) -> None:
    """Have this *process* ask the gate at every statement, and write down which there are."""
    gate, seen = Gate.of_process(), set[str]()

    def named(sql: str) -> tuple[str, dict[str, Any]]:
        digest = hashlib.sha256(sql.encode()).hexdigest()[:8]
        if digest not in seen:
            seen.add(digest)
            gate.note(f"{process}.{digest}", sql)
        return f"{process}.{digest}", {"keys": []}

    gate_statements(named)


def statement_of(operation: str, number: int) -> str:
    """Return the name of an operation's statement, counted from 1."""
    return f"{operation}.{number:02}"


def gate_statements(named: Callable[[str], tuple[str, dict[str, Any]] | None]) -> None:
    """Have this process ask the gate at what *named* gives a name and facts, of all statements that it sends."""
    for name in _METHODS:
        setattr(asyncpg.Connection, name, _gated(getattr(asyncpg.Connection, name), named))


def _gated(method: _Method, named: Callable[[str], tuple[str, dict[str, Any]] | None]) -> _Method:
    @functools.wraps(method)
    async def gated(self: Any, sql: str, *arguments: Any, **options: Any) -> Any:
        found = named(sql)
        if found is None:
            return await method(self, sql, *arguments, **options)
        gate, (statement, facts) = Gate.of_process(), found
        await gate.reach(f"{statement}-{Moment.BEFORE.value}", facts)
        sent = f"{statement}-{Moment.SENT.value}"
        if gate.waits_for(sent, facts):
            answering = asyncio.ensure_future(method(self, sql, *arguments, **options))
            for _ in range(TURNS_TO_SEND):
                await asyncio.sleep(0)
            if not answering.done():
                await gate.reach(sent, facts)
            answer = await answering
        else:
            answer = await method(self, sql, *arguments, **options)
        await gate.reach(f"{statement}-{Moment.ANSWERED.value}", facts)
        return answer

    return gated
