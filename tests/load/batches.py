"""How many batches a committer decided ahead, and how many on locked rows."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from wallet.application.metrics import BatchPath

_METRIC = "wallet_batches"


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


def committed(registry: CollectorRegistry) -> Batches:
    """Return the batches so far, as the committer's metric in *registry* tells."""
    counts = dict.fromkeys(BatchPath, 0)
    for family in registry.collect():
        if family.name == _METRIC:
            for sample in family.samples:
                if sample.name == f"{_METRIC}_total":
                    counts[BatchPath(sample.labels["path"])] += round(sample.value)
    return Batches(counts[BatchPath.AHEAD], counts[BatchPath.LOCKED])
