"""Prometheus metrics of limits, read when they are asked for."""

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from servicekit.limits.admission import Limits
from servicekit.limits.rates import Limit


class LimitsCollector(Collector):
    """What was refused, how many buckets there are, and how many instances share them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
        """Return `rate_limited_total`, `rate_buckets` and `rate_instances`."""
        limited = CounterMetricFamily("rate_limited", "Requests that a limit refused.", labels=["limit"])
        buckets = GaugeMetricFamily("rate_buckets", "Buckets in memory.", labels=["limit"])
        for limit in Limit:
            limited.add_metric([limit.label], self._limits.refusals[limit])
            buckets.add_metric([limit.label], len(self._limits.buckets.by_limit[limit]))
        instances = GaugeMetricFamily("rate_instances", "Live instances that share the buckets.")
        instances.add_metric([], self._limits.buckets.instances)
        return [limited, buckets, instances]
