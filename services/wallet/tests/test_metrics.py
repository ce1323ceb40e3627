"""What the committer tells of batches."""

from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from servicekit.failures import Failure
from testkit.metrics import OPENMETRICS, exemplars
from wallet.application.metrics import BatchPath, BatchWhy, CommitterMetrics
from wallet.application.units import Unit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Traced:
    """What metrics look at in a unit."""

    def __init__(self, traceparent: str | None) -> None:
        self.weight = 1
        self.traceparent = traceparent


def units(*traceparents: str | None) -> list[Unit]:
    return [cast("Unit", Traced(each)) for each in traceparents]


def test_a_batch_that_held_a_traced_command_leaves_its_trace() -> None:
    registry = CollectorRegistry()
    metrics = CommitterMetrics(registry)

    metrics.committed(units(None, f"00-{TRACE}-00f067aa0ba902b7-01"), 0.003)
    metrics.committed(units(None), 0.3)

    encode, _ = choose_encoder(OPENMETRICS)
    assert exemplars(encode(registry).decode(), "wallet_commit_seconds") == {TRACE}
    assert registry.get_sample_value("wallet_batch_commands_sum") == 3


def test_attempts_are_counted_by_what_the_database_made_of_them() -> None:
    registry = CollectorRegistry()
    metrics = CommitterMetrics(registry)

    metrics.batch(BatchPath.AHEAD, BatchWhy.KNOWN)
    metrics.failed(Failure.RETRY)
    metrics.batch(BatchPath.LOCKED, BatchWhy.STAMP)
    metrics.batch(BatchPath.NONE, BatchWhy.REPEATS)

    counted = [
        registry.get_sample_value("wallet_batch_outcomes_total", {"outcome": outcome})
        for outcome in ("ahead", "locked", "rolled_back")
    ]
    assert counted == [1, 1, 1]
