"""How many batches a committer decided ahead, and how many on locked rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry

from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.ports import Fenced, Plan
from wallet.application.rows import BatchRows
from wallet.application.units import UnitKey
from wallet.domain.wallets import Wallet

METRIC: Final = "wallet_batches"
"""The counter of committed batches, without its `_total`; its label `path` is AHEAD for those decided ahead."""
AHEAD: Final = "ahead"


@dataclass(frozen=True, slots=True)
class Batches:
    """Committed batches by the way they were decided."""

    ahead: int = 0
    locked: int = 0

    @property
    def share_ahead(self) -> float:
        """Which part of the batches was decided ahead, 0 where there were none."""
        return self.ahead / max(1, self.ahead + self.locked)

    def __add__(self, other: "Batches") -> "Batches":
        return Batches(self.ahead + other.ahead, self.locked + other.locked)

    def __sub__(self, other: "Batches") -> "Batches":
        return Batches(self.ahead - other.ahead, self.locked - other.locked)


class CountingLedger(PostgresLedger):
    """Counts the batches that were committed; one whose fence failed is counted once it is committed on locked rows."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.batches = Batches()

    async def commit(self, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey], plan: Plan) -> list[int]:
        sequences = await super().commit(wallet_ids, keys, plan)
        self.batches += Batches(locked=1)
        return sequences

    async def commit_fenced(self, keys: Sequence[UnitKey], named: Mapping[UUID, Wallet], rows: BatchRows) -> Fenced:
        fenced = await super().commit_fenced(keys, named, rows)
        self.batches += Batches(ahead=1)
        return fenced


def committed(registry: CollectorRegistry, ledger: CountingLedger) -> Batches:
    """Return the batches so far: as the committer's metric in *registry* tells where it has one, else the *ledger*."""
    samples = [sample for family in registry.collect() if family.name == METRIC for sample in family.samples]
    if not samples:
        return ledger.batches
    totals = [(sample.labels["path"], round(sample.value)) for sample in samples if sample.name == f"{METRIC}_total"]
    return Batches(
        ahead=sum(count for path, count in totals if path == AHEAD),
        locked=sum(count for path, count in totals if path != AHEAD),
    )
