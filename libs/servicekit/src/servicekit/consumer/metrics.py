"""Prometheus metrics of consumers."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from servicekit.buckets import Buckets
from servicekit.clock import utc_now
from servicekit.consumer.sequencing import Stop
from servicekit.telemetry.metrics import BucketHistogram

_POLL_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)
_VISIBLE_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60, 300)


class ConsumerFamilies:
    """The families of a process's consumers: several projections in one process share them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("projection",)
        self.applied = Counter("consumer_applied_total", "Events applied.", labels, registry=registry)
        self.skipped = Counter("consumer_skipped_total", "Records that were applied before.", labels, registry=registry)
        self.unreadable = Counter(
            "consumer_unreadable_total", "Records without a place in the stream.", labels, registry=registry
        )
        self.poll = Histogram(
            "consumer_poll_seconds", "Time of one poll's transaction.", labels, buckets=_POLL_SECONDS, registry=registry
        )
        self.failures = Counter(
            "consumer_poll_failures_total", "Polls to be repeated, by error.", (*labels, "error"), registry=registry
        )
        self.gaps = Counter(
            "consumer_gaps_total", "Gaps met, those included that a second look closed.", labels, registry=registry
        )
        self.stopped = Gauge(
            "consumer_shards_stopped", "Shards that are stopped, by reason.", (*labels, "reason"), registry=registry
        )
        self.parked = Gauge("consumer_parked_subjects", "Parked subjects.", labels, registry=registry)
        self.lag_records = Gauge(
            "consumer_lag_records", "Records behind the ends of the assigned partitions.", labels, registry=registry
        )
        self.lag_s = Gauge(
            "consumer_lag_seconds", "How far the slowest assigned shard is behind.", labels, registry=registry
        )
        self.last_applied = Gauge(
            "consumer_last_applied_timestamp_seconds", "When an event was last applied.", labels, registry=registry
        )
        self.visible = BucketHistogram(
            "consumer_visible_seconds",
            "From an event's time to its commit in the projection.",
            "projection",
            registry,
        )
        self.complete_until = Gauge(
            "consumer_complete_until_timestamp_seconds",
            "Up to when all that occurred in the assigned shards is applied, in seconds since 1970; 0: not known.",
            labels,
            registry=registry,
        )
        self.checkpoint = Gauge(
            "consumer_checkpoint", "Sequence applied last, by shard.", (*labels, "shard"), registry=registry
        )


class ConsumerMetrics:
    """Lag, throughput, parked subjects, stopped shards and checkpoints of one projection."""

    def __init__(self, families: ConsumerFamilies, projection: str) -> None:
        self._projection = projection
        self._applied = families.applied.labels(projection)
        self._skipped = families.skipped.labels(projection)
        self._unreadable = families.unreadable.labels(projection)
        self._poll = families.poll.labels(projection)
        self._failures = families.failures
        self._gaps = families.gaps.labels(projection)
        self._stopped = families.stopped
        self._parked = families.parked.labels(projection)
        self._lag_records = families.lag_records.labels(projection)
        self._lag_s = families.lag_s.labels(projection)
        self._last_applied = families.last_applied.labels(projection)
        self._visible = families.visible.add(projection, Buckets(_VISIBLE_SECONDS))
        self._complete_until = families.complete_until.labels(projection)
        # A child looked up once is several times cheaper than `labels` per shard and poll.
        self._checkpoints: dict[int, Gauge] = {}
        self._checkpoint = families.checkpoint
        for reason in Stop:
            self._stopped.labels(projection, reason.value)

    def polled(self, *, applied: int, skipped: int, seconds: float) -> None:
        """Count one committed poll."""
        self._applied.inc(applied)
        self._skipped.inc(skipped)
        self._poll.observe(seconds)

    def visible(self, times: Iterable[datetime]) -> None:
        """Count the events of *times* as committed now: all of a poll at once, for each would cost a lock."""
        now = utc_now()
        self._visible.observe_all(max(0.0, (now - time).total_seconds()) for time in times)
        self._last_applied.set(now.timestamp())

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

    def lag(self, records: int, milliseconds: int, complete_until: datetime | None) -> None:
        """Set how far behind the assigned partitions are, and up to when they are complete."""
        self._lag_records.set(records)
        self._lag_s.set(milliseconds / 1_000)
        self._complete_until.set(0 if complete_until is None else complete_until.timestamp())

    def checkpoint(self, shard: int, last_seq: int) -> None:
        """Set the last sequence applied of a shard."""
        child = self._checkpoints.get(shard)
        if child is None:
            child = self._checkpoints[shard] = self._checkpoint.labels(self._projection, str(shard))
        child.set(last_seq)
