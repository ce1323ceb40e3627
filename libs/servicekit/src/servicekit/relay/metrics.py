"""Prometheus metrics of the relay."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PUBLISH_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class RelayMetrics:
    """Lag, throughput, and everything that replaced a producer, lost a lease or stopped a shard."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._published = Counter("relay_published_total", "Records acknowledged by the broker.", registry=registry)
        self._acknowledged = Gauge(
            "relay_last_acknowledged_timestamp_seconds",
            "When the broker last acknowledged a record.",
            registry=registry,
        )
        self._publish = Histogram(
            "relay_publish_seconds",
            "Time from handing records over to their acknowledgement.",
            buckets=_PUBLISH_SECONDS,
            registry=registry,
        )
        self._lag_rows = Gauge(
            "relay_lag_rows",
            "Unpublished journal rows of this process's shards and of those nobody owns.",
            registry=registry,
        )
        self._lag_seconds = Gauge("relay_lag_seconds", "Age of the oldest of them.", registry=registry)
        self._producers = Counter("relay_producers_total", "Producers made, replacements included.", registry=registry)
        self._failures = Counter(
            "relay_publish_failures_total", "Sends that failed, by error.", ("error",), registry=registry
        )
        self._leases = Gauge("relay_leases_held", "Shards this process publishes.", registry=registry)
        self._lost = Counter(
            "relay_leases_lost_total", "Shards another owner took, found by compare-and-set.", registry=registry
        )
        self._stopped = Gauge("relay_shards_stopped", "Shards stopped by a gap in the journal.", registry=registry)
        self._held = Gauge(
            "relay_partitions_held", "Partitions that cannot be written or read; their shards wait.", registry=registry
        )
        self._ended_before = Gauge(
            "relay_shards_ended_before",
            "Shards whose journal ends before what is published: restored behind the topic.",
            registry=registry,
        )
        self._watermarks = Counter(
            "relay_watermarks_total", "Watermarks acknowledged by the broker.", registry=registry
        )
        self._watermark_failures = Counter(
            "relay_watermark_failures_total",
            "Writes of watermarks that failed and are made up for by the next, by error.",
            ("error",),
            registry=registry,
        )
        self._halted = Gauge("relay_halted", "1 while the topic is ahead of the journal.", registry=registry)

    def published(self, records: int) -> None:
        """Count *records* that were acknowledged."""
        self._published.inc(records)
        if records:
            self._acknowledged.set_to_current_time()

    def publish_took(self, seconds: float) -> None:
        """Count a round that was acknowledged after *seconds*."""
        self._publish.observe(seconds)

    def lag(self, rows: int, seconds: float) -> None:
        """Set how far behind the journal this process is."""
        self._lag_rows.set(rows)
        self._lag_seconds.set(seconds)

    def producer_made(self) -> None:
        """Count a producer."""
        self._producers.inc()

    def publish_failed(self, error: str) -> None:
        """Count a failed send."""
        self._failures.labels(error).inc()

    def tell_leases(self, held: Callable[[], int]) -> None:
        """Have *held* say, whenever that is asked, how many shards this process publishes."""
        self._leases.set_function(held)

    def leases_lost(self, shards: int) -> None:
        """Count shards that another owner took."""
        self._lost.inc(shards)

    def shards_stopped(self, shards: int) -> None:
        """Set how many shards are stopped at a gap."""
        self._stopped.set(shards)

    def partitions_held(self, partitions: int) -> None:
        """Set how many partitions are held back."""
        self._held.set(partitions)

    def ended_before(self, shards: int) -> None:
        """Set how many shards' journals end before what is published of them."""
        self._ended_before.set(shards)

    def watermarks_written(self, records: int) -> None:
        """Count watermarks that were acknowledged."""
        self._watermarks.inc(records)

    def watermarks_failed(self, error: str) -> None:
        """Count a write of watermarks that failed."""
        self._watermark_failures.labels(error).inc()

    def halted(self, *, is_halted: bool) -> None:
        """Set whether the topic is ahead of the journal."""
        self._halted.set(is_halted)
