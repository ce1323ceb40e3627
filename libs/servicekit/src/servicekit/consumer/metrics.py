"""Prometheus metrics of consumers."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from servicekit.consumer.sequencing import Stop

_POLL_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)


class ConsumerMetrics:
    """Lag, throughput, parked subjects, stopped shards and checkpoints of one projection."""

    def __init__(self, registry: CollectorRegistry, projection: str) -> None:
        labels = ("projection",)
        self._projection = projection
        self._applied = Counter("consumer_applied_total", "Events applied.", labels, registry=registry).labels(
            projection
        )
        self._skipped = Counter(
            "consumer_skipped_total", "Records that were applied before.", labels, registry=registry
        ).labels(projection)
        self._unreadable = Counter(
            "consumer_unreadable_total", "Records without a place in the stream.", labels, registry=registry
        ).labels(projection)
        self._poll = Histogram(
            "consumer_poll_seconds", "Time of one poll's transaction.", labels, buckets=_POLL_SECONDS, registry=registry
        ).labels(projection)
        self._failures = Counter(
            "consumer_poll_failures_total", "Polls to be repeated, by error.", (*labels, "error"), registry=registry
        )
        self._gaps = Counter(
            "consumer_gaps_total", "Gaps met, those included that a second look closed.", labels, registry=registry
        ).labels(projection)
        self._stopped = Gauge(
            "consumer_shards_stopped", "Shards that are stopped, by reason.", (*labels, "reason"), registry=registry
        )
        self._parked = Gauge("consumer_parked_subjects", "Parked subjects.", labels, registry=registry).labels(
            projection
        )
        self._lag_records = Gauge(
            "consumer_lag_records", "Records behind the ends of the assigned partitions.", labels, registry=registry
        ).labels(projection)
        self._lag_ms = Gauge(
            "consumer_lag_milliseconds", "How far the slowest assigned partition is behind.", labels, registry=registry
        ).labels(projection)
        # A child looked up once is several times cheaper than `labels` per shard and poll.
        self._checkpoints: dict[int, Gauge] = {}
        self._checkpoint = Gauge(
            "consumer_checkpoint", "Sequence applied last, by shard.", (*labels, "shard"), registry=registry
        )
        for reason in Stop:
            self._stopped.labels(projection, reason.value)

    def polled(self, *, applied: int, skipped: int, seconds: float) -> None:
        """Count one committed poll."""
        self._applied.inc(applied)
        self._skipped.inc(skipped)
        self._poll.observe(seconds)

    def unreadable(self) -> None:
        """Count a record without a place in the stream."""
        self._unreadable.inc()

    def failed(self, error: str) -> None:
        """Count a poll that will be repeated."""
        self._failures.labels(self._projection, error).inc()

    def gaps_met(self, shards: int) -> None:
        """Count shards in which something was missing."""
        self._gaps.inc(shards)

    def stopped(self, counts: Mapping[Stop, int]) -> None:
        """Set how many shards are stopped."""
        for reason in Stop:
            self._stopped.labels(self._projection, reason.value).set(counts.get(reason, 0))

    def parked(self, subjects: int) -> None:
        """Set how many subjects are parked."""
        self._parked.set(subjects)

    def lag(self, records: int, milliseconds: int) -> None:
        """Set how far behind the assigned partitions are."""
        self._lag_records.set(records)
        self._lag_ms.set(milliseconds)

    def checkpoint(self, shard: int, last_seq: int) -> None:
        """Set the last sequence applied of a shard."""
        child = self._checkpoints.get(shard)
        if child is None:
            child = self._checkpoints[shard] = self._checkpoint.labels(self._projection, str(shard))
        child.set(last_seq)
