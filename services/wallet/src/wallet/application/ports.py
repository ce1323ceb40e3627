"""What the application needs from the world."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from servicekit.failures import Failure
from wallet.application.rows import BatchRows, Locked
from wallet.application.units import UnitKey
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


class Snapshots(Protocol):
    """Where a dry run finds its rows."""

    async def snapshot(self, wallet_ids: Sequence[UUID]) -> Locked:
        """Return the named wallets and the time as of one snapshot, without a lock and without keys."""
        ...
