"""A command happens once under its key: its record is written in the transaction of its change."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from servicekit.postgres import Connection, Pool, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Whose command it is, under which key, and what tells it from another under the same."""

    client: UUID
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command answers. *stored* is the body without its secrets, None where it has none."""

    status: int
    body: bytes
    location: str | None = None
    stored: bytes | None = None
    is_replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A command that was answered before."""

    fingerprint: bytes
    answer: Answer


class KeyReused(Exception):  # noqa: N818  it names what happened
    """The key was used for another command."""


class InFlight(Exception):  # noqa: N818  it names what happens
    """Another request is working on the key, and did not end in time."""


class Records(Protocol):
    """Where commands are remembered."""

    async def find(self, connection: Connection, keyed: Keyed) -> Record | None:
        """Return what was answered under the key."""
        ...

    async def claim(self, tx: Transaction, keyed: Keyed) -> bool:
        """Take the key for *tx*, after whoever works on it; False where it is taken for good. Raises InFlight."""
        ...

    async def finish(self, tx: Transaction, keyed: Keyed, answer: Answer) -> None:
        """Write what the claimed key answers from now on."""
        ...


class Once:
    """Runs commands, each once."""

    def __init__(self, pool: Pool, records: Records) -> None:
        self._pool = pool
        self._records = records

    async def replay(self, keyed: Keyed) -> Answer | None:
        """Return what was answered before, None where nothing was; raise KeyReused."""
        async with self._pool.connection() as connection:
            return _replayed(await self._records.find(connection, keyed), keyed)

    async def run(self, keyed: Keyed, work: Callable[[Transaction], Awaitable[Answer]]) -> Answer:
        """Return the stored answer, or what *work* answers now; an error of *work* leaves the key free.

        Raises KeyReused and InFlight.
        """
        async with self._pool.transaction() as tx:
            if not await self._records.claim(tx, keyed):
                replayed = _replayed(await self._records.find(tx.connection, keyed), keyed)
                assert replayed is not None, "a key that cannot be claimed was used"
                return replayed
            answer = await work(tx)
            await self._records.finish(tx, keyed, answer)
            return answer


def _replayed(record: Record | None, keyed: Keyed) -> Answer | None:
    if record is None:
        return None
    if record.fingerprint != keyed.fingerprint:
        raise KeyReused
    return replace(record.answer, is_replayed=True)
