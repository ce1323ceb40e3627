"""Metrics: one registry per process, made in its bootstrap, with bounded labels."""

from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from servicekit.postgres import Pool

LATENCY_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Buckets of every duration, so that figures of two services compare."""


def open_registry(service: str, process: str, version: str) -> CollectorRegistry:
    """Return a registry with the process's own figures and `build_info`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("build", "What runs here.", registry=registry).info(
        {"service": service, "process": process, "version": version}
    )
    return registry


class PoolCollector(Collector):
    """The figures of a connection pool, read when they are asked for."""

    def __init__(self, name: str, pool: Pool) -> None:
        self._name = name
        self._pool = pool

    def collect(self) -> list[GaugeMetricFamily]:
        """Return open and busy connections of the pool."""
        size = GaugeMetricFamily("db_pool_connections", "Open connections.", labels=["pool"])
        size.add_metric([self._name], self._pool.size)
        busy = GaugeMetricFamily("db_pool_connections_busy", "Connections in use.", labels=["pool"])
        busy.add_metric([self._name], self._pool.busy)
        return [size, busy]
