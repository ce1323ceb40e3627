"""What the application needs from the world."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from servicekit.failures import Failure
from wallet.application.journal import Carried
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import Answer, Result, UnitKey
from wallet.domain.commands import Command
from wallet.domain.mandate import Mandate
from wallet.domain.outcomes import Rejected
from wallet.domain.rows import RowName, StateRow

Decide = Callable[[BatchInput], BatchRows]
"""Decides a batch on what was found behind the locks. It never waits: rows stay locked while it runs."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch got that was committed in one call: its journal rows' sequence numbers, the database's clock."""

    sequences: Sequence[int]
    at: datetime


class Conflict(StrEnum):
    """Why the database did not write a batch that was decided ahead: it is decided again on locked rows."""

    STAMP = "stamp"
    """A row is not as it was when it was read."""
    KEY = "key"
    """An idempotency key is taken."""


class Ledger(Protocol):
    """Where batches are committed. Four calls serve rows of every kind."""

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        """Return the rows and the records of the keys, without a lock, and the database's clock."""
        ...

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        """Lock what is named, decide, write and commit in one transaction.

        Returns the sequence number of each journal row, in its order. Any error means that the outcome is that of the
        keys: `classify` tells what to do.
        """
        ...

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        """Write *rows* in one transaction that checks every *expected* stamp, and that *keys* are free.

        Any error means what it means for `commit`; where `conflict_of` tells a conflict, nothing was written.
        """
        ...

    def classify(self, error: Exception) -> Failure:
        """Return what *error* asks of the committer."""
        ...

    def conflict_of(self, error: BaseException) -> Conflict | None:
        """Return with what a batch that was decided ahead collided, None where *error* is another."""
        ...


class CarriedOut(msgspec.Struct, frozen=True, gc=False):
    """What a command did: its facts with the wallets as they left them, and the rows of other kinds afterwards.

    *created_at* is written already; *transaction_id* is None where no ledger transaction was made.
    """

    facts: Carried
    states: Sequence[StateRow]
    transaction_id: UUID | None
    created_at: str
    mandate: Mandate
    """Whose answer it is made for."""


class Renderer(Protocol):
    """What makes answers of results, inside the batch: it never waits. *path* is the unit's."""

    def accepted(self, command: Command, done: CarriedOut) -> Answer:
        """Render what *command* made or changed."""
        ...

    def rejected(self, rejected: Rejected, path: str | None) -> Answer:
        """Render a refusal by a rule."""
        ...

    def batch(self, answers: Sequence[Answer]) -> Answer:
        """Render an atomic batch that was carried out, of the *answers* to its commands."""
        ...

    def rejected_batch(self, rejected: Rejected, index: int, path: str | None) -> Answer:
        """Render an atomic batch of which nothing was done, because its command *index* was refused."""
        ...

    def result_of(self, answer: Answer) -> Result:
        """Return the result that *answer*, stored by this release or another, was rendered of."""
        ...
