"""A process shows at most 3,000 series, even an API whose every route was answered in every way that it declares."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from engines.checkout import ROOT
from observability.catalogue import SERVICES, declared_labels, families_by_process, name_of
from servicekit.http.edge.observe import RequestMetrics, RouteSeries
from servicekit.service.metrics import Bounded, ServiceMetrics
from testkit.metrics import SERIES_MAX

METHODS = {"get", "post", "put", "patch", "delete"}
BESIDE = 300
"""What an API has besides, with room: pools, limits, jobs, batches, the process's own."""


def operations(service: ServiceMetrics) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and responses of each operation of the API's document."""
    document = json.loads((ROOT / "docs" / "openapi" / f"{service.service.slug}.json").read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield method.upper(), path, operation["responses"]


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.service.slug)
def test_an_api_stays_within_its_series(service: ServiceMetrics) -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    for method, path, responses in operations(service):
        of_route = RouteSeries(metrics, method, path)
        for status, response in responses.items():
            of_route.count(int(status), 0.01, None)
            for code in re.findall(r"`([a-z_]+)`:", response["description"]):
                of_route.count_problem(code)

    assert len({path for _, path, _ in operations(service)}) <= 64, "as many as the catalogue says"
    assert series(registry) + series(service.registries()["api"]) + BESIDE <= SERIES_MAX


FILLED_BY_USE: Final = {
    *("wallet_commands_total", "wallet_batches_total"),  # few of the many combinations ever occur
    *("wallet_rates_fetches_total", "wallet_fraud_decisions_total"),  # their values are known to rooms above
    *("history_drift_events_total", "history_drift_skipped_total"),  # with the first look, within seconds
}
"""Counters with closed labels that have no series at first."""


def test_counters_with_closed_labels_begin_at_zero() -> None:
    labels = declared_labels()
    empty = {
        name_of(family)
        for families in families_by_process().values()
        for family in families
        if family.type == "counter" and not family.samples
    }

    assert {
        name for name in empty if not any(isinstance(values, Bounded) for values in labels[name].values())
    } == FILLED_BY_USE
