"""Metrics: one registry per process, made in its bootstrap, with bounded labels."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from servicekit.buckets import Buckets
from servicekit.postgres import Pool

LATENCY_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Buckets of every duration, so that figures of two services compare."""


def open_registry(service: str, process: str, version: str) -> CollectorRegistry:
    """Return a registry with the process's own figures and `build_info`."""
    # A second series beside every counter, of an instant that `process_start_time_seconds` tells.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the client annotates nothing there
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("build", "What runs here.", registry=registry).info(
        {"service": service, "process": process, "version": version}
    )
    return registry


def begin_at_zero(counter: Counter, *values: Iterable[str]) -> None:
    """Show *counter* as 0 under every combination of its labels' *values*, in the order of the labels.

    A series that begins with its first error has no rate then, and a dashboard cannot tell that nothing fails.
    """
    for labels in product(*values):
        counter.labels(*labels)


class BucketHistogram(Collector):
    """A histogram of what is counted in `Buckets`, one for each value of its label."""

    def __init__(self, name: str, documentation: str, label: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._children: dict[str, Buckets] = {}
        registry.register(self)

    def add(self, value: str, buckets: Buckets) -> Buckets:
        """Show *buckets* under the label's *value*, in place of those before; return them."""
        self._children[value] = buckets
        return buckets

    def describe(self) -> Iterator[Metric]:
        """Yield the family without samples."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=[self._label])

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        for value, buckets in list(self._children.items()):  # a scrape runs in a thread of its own
            family.add_metric([value], buckets.cumulative(), buckets.sum_s)
        yield family


class Pools(Collector):
    """The figures of a process's connection pools, read when they are asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pools: dict[str, Pool] = {}
        registry.register(self)
        self._waits = BucketHistogram(
            "db_pool_acquire_seconds", "How long a connection that was lent was waited for.", "pool", registry
        )

    def watch(self, name: str, pool: Pool) -> None:
        """Show *pool* as *name* from now on."""
        self._pools[name] = pool
        self._waits.add(name, pool.lending.waits)

    def collect(self) -> Iterator[Metric]:
        """Yield how many connections each pool may have, has and lends, and how often it lent none."""
        limit = GaugeMetricFamily("db_pool_connections_max", "Connections there may be.", labels=["pool"])
        size = GaugeMetricFamily("db_pool_connections", "Open connections.", labels=["pool"])
        busy = GaugeMetricFamily("db_pool_connections_busy", "Connections in use.", labels=["pool"])
        failures = CounterMetricFamily(
            "db_pool_acquire_failures", "Times that no connection was lent, by reason.", labels=["pool", "reason"]
        )
        for name, pool in list(self._pools.items()):  # a scrape runs in a thread of its own
            limit.add_metric([name], pool.size_max)
            size.add_metric([name], pool.size)
            busy.add_metric([name], pool.busy)
            for reason, count in pool.lending.failures.items():
                failures.add_metric([name, reason], count)
        yield from (limit, size, busy, failures)
