"""What reads a metric: the last column of the page of metrics."""

from collections.abc import Iterator, Mapping
from functools import cache

from observability.alerts import ALERTS
from observability.dashboards import DASHBOARDS
from observability.declaring import Recording
from observability.promql import family_of, metric_names
from observability.recording import RECORDING_GROUPS


def read_by(name: str) -> tuple[str, ...]:
    """Return the dashboards, alerts and recording rules that read the metric *name*, in the order of the alphabet.

    A histogram is named without `_bucket`, `_count` and `_sum`.
    """
    return _readers().get(name, ())


@cache
def _readers() -> Mapping[str, tuple[str, ...]]:
    readers: dict[str, set[str]] = {}
    for rule, expression in (*expressions(), *shown()):
        for name in metric_names(expression):
            for each in {name, family_of(name)}:
                readers.setdefault(each, set()).add(rule)
    return {name: tuple(sorted(rules)) for name, rules in readers.items()}


def shown() -> Iterator[tuple[str, str]]:
    """Yield the name of its dashboard and the expression of each query of a panel."""
    for dashboard in DASHBOARDS:
        yield from ((dashboard.name, query.expr) for panel in dashboard.panels for query in panel.queries)


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of each recording rule and of each threshold of an alert."""
    for groups in RECORDING_GROUPS.values():
        for group in groups:
            yield from ((rule.record, rule.expr) for rule in group.rules if isinstance(rule, Recording))
    for alert in ALERTS:
        yield from ((alert.name, threshold.expr) for threshold in alert.thresholds)
