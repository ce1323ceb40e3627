"""What the application needs from the world."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from servicekit.failures import Failure
from wallet.application.rows import BatchRows, Locked
from wallet.application.units import Answer, Result, UnitKey
from wallet.domain.commands import MoneyCommand
from wallet.domain.outcomes import Posted, Rejected
from wallet.domain.wallets import Wallet

Plan = Callable[[Locked], BatchRows]
"""Decides a batch on what was found behind the locks. It never waits: rows stay locked while it runs."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """What a fenced batch got: its journal rows' sequence numbers, and the database's clock."""

    sequences: Sequence[int]
    at: datetime


class Ledger(Protocol):
    """Where batches are committed."""

    async def commit(self, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey], plan: Plan) -> list[int]:
        """Lock what is named, decide by *plan*, write and commit in one transaction.

        Returns the sequence number of each journal row of the plan, in its order. Any error means that the outcome is
        that of the keys: `classify` tells what to do.
        """
        ...

    async def commit_fenced(self, keys: Sequence[UnitKey], named: Mapping[UUID, Wallet], rows: BatchRows) -> Fenced:
        """Write *rows*, decided on *named* as it was remembered, in one transaction that checks the memory.

        Any error means what it means for `commit`; where a wallet is not as it was remembered, or a key is taken,
        nothing was written. The version alone does not tell: behind a batch that was not written, somebody else may
        have brought a wallet to the same one.
        """
        ...

    def classify(self, error: Exception) -> Failure:
        """Return what *error* of `commit` asks of the committer."""
        ...


class Renderer(Protocol):
    """What makes answers of results, inside the batch: it never waits. *path* is the unit's."""

    def transaction(self, transaction_id: UUID, command: MoneyCommand, posted: Posted, created_at: str) -> Answer:
        """Render the transaction that *command* made; *created_at* is written already."""
        ...

    def opened(self, wallet: Wallet) -> Answer:
        """Render a new wallet."""
        ...

    def changed(self, wallet: Wallet) -> Answer:
        """Render a wallet whose state was changed."""
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


class Snapshots(Protocol):
    """Where a dry run finds its rows."""

    async def snapshot(self, wallet_ids: Sequence[UUID]) -> Locked:
        """Return the named wallets and the time as of one snapshot, without a lock and without keys."""
        ...
