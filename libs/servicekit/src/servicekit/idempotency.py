"""An ordinary command happens once under its key: its record is written in the transaction of its change.

A service keeps the records in a table of its own: `client`, `key`, `fingerprint`, `status`, `location`, `body` and
`created_at`, with the primary key (client, key).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from servicekit.postgres import Connection, Pool, Transaction

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Whose command it is, its key, and the fingerprint that distinguishes it from another under the same key."""

    client: UUID
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command answers. *stored* is the body without its secrets, None if it has none."""

    status: int
    body: bytes
    location: str | None = None
    stored: bytes | None = None
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class Undone(Generic[R]):
    """Nothing was done and nothing is stored: the key stays free."""

    reason: R


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used for another command."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request is working on the key, and did not end in time."""


KeyedOperation = Callable[[Transaction], Awaitable[Answer | Undone[R]]]


class _RolledBack(Exception):
    """Ends the transaction; *outcome* is what the command came to."""

    def __init__(self, outcome: "Undone[Any] | InFlight") -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Once:
    """Runs commands, each once. *table* is where their records are."""

    def __init__(self, pool: Pool, *, table: str) -> None:
        self._pool = pool
        self._find = f"select fingerprint, status, location, body from {table} where client = $1 and key = $2"
        # The insertion waits for whoever inserted the same key first.
        self._claim = f"""
            insert into {table} (client, key, fingerprint, status, body, created_at)
            values ($1, $2, $3, 0, '', now()) on conflict do nothing returning true"""
        self._finish = f"update {table} set status = $3, location = $4, body = $5 where client = $1 and key = $2"

    async def replay(self, keyed: Keyed) -> Answer | KeyReused | None:
        """Return the stored answer; returns None if there is none."""
        async with self._pool.connection() as connection:
            return await self._stored(connection, keyed)

    async def run(self, keyed: Keyed, work: KeyedOperation[R]) -> Answer | Undone[R] | KeyReused | InFlight:
        """Return the stored answer, or what *work* answers now; an error of *work* leaves the key free."""
        try:
            async with self._pool.transaction() as tx:
                return await self._run(tx, keyed, work)
        except _RolledBack as ended:
            return ended.outcome

    async def _run(self, tx: Transaction, keyed: Keyed, work: KeyedOperation[R]) -> Answer | KeyReused:
        """Return as `run` does; raises _RolledBack if the transaction is to be rolled back."""
        if not await self._claimed(tx, keyed):
            stored = await self._stored(tx.connection, keyed)
            assert stored is not None, "a key that cannot be claimed was used"
            return stored
        outcome = await work(tx)
        if isinstance(outcome, Undone):
            raise _RolledBack(outcome)
        await self._keep(tx, keyed, outcome)
        return outcome

    async def _stored(self, connection: Connection, keyed: Keyed) -> Answer | KeyReused | None:
        row = await connection.fetchrow(self._find, keyed.client, keyed.key)
        if row is None:
            return None
        if row["fingerprint"] != keyed.fingerprint:
            return KeyReused()
        return Answer(status=row["status"], body=row["body"], location=row["location"], is_replayed=True)

    async def _claimed(self, tx: Transaction, keyed: Keyed) -> bool:
        """Take the key for *tx*, after whoever works on it; return False if another command has it already."""
        try:
            return bool(await tx.connection.fetchval(self._claim, keyed.client, keyed.key, keyed.fingerprint))
        except asyncpg.LockNotAvailableError:
            raise _RolledBack(InFlight()) from None

    async def _keep(self, tx: Transaction, keyed: Keyed, answer: Answer) -> None:
        body = answer.body if answer.stored is None else answer.stored
        await tx.connection.execute(self._finish, keyed.client, keyed.key, answer.status, answer.location, body)
