"""What the relay tells of itself, as Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PUBLISH_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class RelayMetrics:
    """Lag, throughput, and everything that replaced a producer, lost a lease or stopped a shard."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._published = Counter("relay_published_total", "Records acknowledged by the broker.", registry=registry)
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
        self._halted = Gauge("relay_halted", "1 while the topic is ahead of the journal.", registry=registry)

    def published(self, records: int, seconds: float) -> None:
        """Count *records*, acknowledged after *seconds*."""
        self._published.inc(records)
        self._publish.observe(seconds)

    def lag(self, rows: int, seconds: float) -> None:
        """Tell how far behind the journal this process is."""
        self._lag_rows.set(rows)
        self._lag_seconds.set(seconds)

    def producer_made(self) -> None:
        """Count a producer."""
        self._producers.inc()

    def publish_failed(self, error: str) -> None:
        """Count a failed send."""
        self._failures.labels(error).inc()

    def leases_held(self, shards: int) -> None:
        """Tell how many shards this process publishes."""
        self._leases.set(shards)

    def leases_lost(self, shards: int) -> None:
        """Count shards that another owner took."""
        self._lost.inc(shards)

    def shards_stopped(self, shards: int) -> None:
        """Tell how many shards stand because of a gap."""
        self._stopped.set(shards)

    def halted(self, *, is_halted: bool) -> None:
        """Tell whether the topic is ahead of the journal."""
        self._halted.set(is_halted)
