"""A unit of work: what commits or fails as one, under one idempotency key; and the outcomes it can have."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import msgspec

from wallet.domain.commands import Command
from wallet.domain.mandate import Mandate
from wallet.domain.outcomes import Missing, NotNow, NotPermitted, Undone
from wallet.domain.rows import RowName, Rows

_canonical = msgspec.msgpack.Encoder(order="deterministic").encode

UnitKey = tuple[UUID, str, int]
"""(client, key, part): part 0 is the request that the key is for, 1…n are the commands of an independent batch."""


class Claim(NamedTuple):
    """A key, and the request that it stands for. A command of an independent batch holds part 0 of the batch's too."""

    key: UnitKey
    fingerprint: bytes


class Done(msgspec.Struct, frozen=True):
    """The unit was carried out."""


class Refused(msgspec.Struct, frozen=True):
    """A rule refused the unit, or one of its commands: *code* is the rule's, of this release or of a newer one."""

    code: str


Result = Done | Refused
Answer = tuple[int, bytes]
"""A result as it was rendered. It is stored and handed on as it is: only the renderer knows what it says."""


class Stored(msgspec.Struct, frozen=True):
    """An outcome that is stored under its key: a result, and the answer that was rendered of it at once.

    *positions* is (shard, sequence) ascending by shard, empty for a refusal; *resource_id* is that of the wallet or the
    transaction that was made.
    """

    result: Result
    answer: Answer
    resource_id: UUID | None
    positions: tuple[tuple[int, int], ...]
    is_replayed: bool


class KeyReused(msgspec.Struct, frozen=True):
    """The key stands for another request; nothing was done. *by_batch*: the key of the independent batch does."""

    by_batch: bool = False


class NotFound(msgspec.Struct, frozen=True):
    """What the unit names does not exist; *index* is the command's place in an atomic batch. Nothing was done."""

    missing: Missing
    index: int | None


class Forbidden(msgspec.Struct, frozen=True):
    """The unit, or the command at *index* of an atomic batch, is not its sender's to give. Nothing was done."""

    refused: NotPermitted
    index: int | None


class Deferred(msgspec.Struct, frozen=True):
    """What the unit, or the command at *index* of an atomic batch, needs is not there now. Nothing was done."""

    why: NotNow
    index: int | None


class AheadOfClock(msgspec.Struct, frozen=True):
    """A wallet's newest event is farther ahead of the database's clock than is believed. Nothing was done."""

    wallet_id: UUID


Outcome = Stored | KeyReused | NotFound | Forbidden | Deferred | AheadOfClock


def undone_unit(why: Undone, index: int | None) -> NotFound | Forbidden | Deferred:
    """Return the outcome of a unit of which nothing was done, because of its command at *index*; its key stays free."""
    match why:
        case Missing():
            return NotFound(why, index)
        case NotPermitted():
            return Forbidden(why, index)
        case NotNow():
            return Deferred(why, index)


@dataclass(slots=True, eq=False)
class Unit:
    """One or, in an atomic batch, several commands on their way through the committer.

    *path* is the request's, which a refusal names, None where no request sent it. *deadline_s*, and *queued_s*, when it
    came into the queue, are monotonic seconds. *traceparent* is None unless the request was sampled. *claim* is None
    but for a command of an independent batch. *is_taken* once the committer has it: from then on its outcome is the
    database's to tell.
    """

    path: str | None
    commands: tuple[Command, ...]
    is_atomic_batch: bool
    mandate: Mandate
    actor: str
    key: UnitKey
    fingerprint: bytes
    deadline_s: float
    traceparent: str | None = None
    causation_id: UUID | None = None
    claim: Claim | None = None
    queued_s: float = 0.0
    is_taken: bool = False
    outcome: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def tenant_id(self) -> UUID:
        """Whose ledger it is about."""
        return self.mandate.tenant_id

    @property
    def weight(self) -> int:
        """How many commands it counts for in queue and batch."""
        return len(self.commands)


def keys_of(units: Sequence[Unit]) -> list[UnitKey]:
    """Return every key that *units* hold: their own, and those they claim."""
    keys = [unit.key for unit in units]
    claimed = {unit.claim.key for unit in units if unit.claim is not None}
    return [*keys, *claimed.difference(keys)] if claimed else keys


def named_by(units: Sequence[Unit], known: Rows) -> set[RowName]:
    """Return every row that *units* name, as far as *known* rows tell."""
    return {name for unit in units for command in unit.commands for name in command.names(known)}


def fingerprint(route: str, commands: Sequence[Command]) -> bytes:
    """Return what tells one request from another: `12.3` equals `12.30`, and the order of members does not count."""
    return hashlib.sha256(_canonical((route, [(command.kind, command) for command in commands]))).digest()
