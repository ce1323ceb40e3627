"""What the catalogue says of each metric, and that every process's page is what Prometheus takes."""

import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
import typer.testing
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from engines.checkout import ROOT
from engines.debian import find_program
from observability.__main__ import app
from observability.catalogue import SERVICES, CataloguedMetric, catalogue, declared_labels, families_by_process, name_of
from observability.metrics_page import metrics_page
from servicekit.service.metrics import Bounded

FORBIDDEN: Final = {"wallet", "owner", "tenant", "message", "detail", "text", "user", "id", "key", "le"}
ODD_UNITS: Final = {"ms", "milliseconds", "minutes", "hours", "days", "us", "kb", "mb", "kilobytes", "percent"}
COUNTED: Final = {"wallet_batch_commands"}
"""Histograms of what has no unit."""
FAMILIES: Final = families_by_process()
PROCESSES: Final = sorted(FAMILIES)


@pytest.fixture(scope="module")
def metrics() -> Sequence[CataloguedMetric]:
    """Give the catalogue."""
    return catalogue()


def test_every_metric_says_what_it_is(metrics: Sequence[CataloguedMetric]) -> None:
    assert [each.name for each in metrics if not each.help.strip()] == []
    assert {each.type for each in metrics} <= {"counter", "gauge", "histogram", "info"}


def test_units_are_base_units_and_stand_in_the_names(metrics: Sequence[CataloguedMetric]) -> None:
    assert [each.name for each in metrics if ODD_UNITS & set(each.name.split("_"))] == []
    durations = [each for each in metrics if each.type == "histogram" and each.name not in COUNTED]
    assert [each.name for each in durations if each.unit != "seconds"] == []
    assert [each.name for each in metrics if "timestamp" in each.name and not each.name.endswith("_seconds")] == []


def test_labels_are_closed_sets_that_tell_of_nobody(metrics: Sequence[CataloguedMetric]) -> None:
    names = {each.name for each in metrics}
    assert declared_labels().keys() - names == set(), "declared for a metric that no process has"
    assert {label for each in metrics for label in each.labels} & FORBIDDEN == set()
    listed = [values for each in metrics for values in each.labels.values() if not isinstance(values, Bounded)]
    assert all(listed)
    paths = [each.labels["path"] for each in metrics if "path" in each.labels]
    assert paths == [("ahead", "locked", "none")], "the way a batch took, and no path of a request"


def test_each_labelled_metric_declares_just_its_labels() -> None:
    declared = declared_labels()
    for service in SERVICES:
        for registry in service.registries().values():
            for collector in registry._collector_to_names:
                for family in collector.collect():
                    labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
                    labels = labels or {label for sample in family.samples for label in sample.labels if label != "le"}
                    assert set(labels) == declared.get(name_of(family), {}).keys(), family.name


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
@pytest.mark.parametrize("process", PROCESSES)
def test_no_counter_is_shown_twice(process: str, accept: str) -> None:
    encode, _ = choose_encoder(accept)

    page = encode(Shown(process))
    assert b"process_start_time_seconds" in page
    assert b"_created" not in page


class Shown(Collector):
    """A process's families, each with a sample: promtool passes over what has none."""

    def __init__(self, process: str) -> None:
        self._families = FAMILIES[process]

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        labels = declared_labels()
        for family in self._families:
            if not family.samples:
                told = dict.fromkeys(labels[name_of(family)], "x")
                if family.type == "histogram":
                    family.add_sample(f"{family.name}_bucket", {**told, "le": "+Inf"}, 1.0)
                    family.add_sample(f"{family.name}_sum", told, 1.0)
                    family.add_sample(f"{family.name}_count", told, 1.0)
                else:
                    family.add_sample(name_of(family), told, 1.0)
            yield family


def checked(page: bytes) -> str:
    """Return what promtool has to say against a page."""
    promtool = find_program("promtool", "prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=60)
    return (done.stdout + done.stderr).decode().strip()


@pytest.mark.parametrize("process", PROCESSES)
def test_prometheus_takes_every_processs_page(process: str) -> None:
    encode, _ = choose_encoder("")

    assert checked(encode(Shown(process))) == ""


def test_promtool_refuses_what_it_should() -> None:
    registry = CollectorRegistry()
    Gauge("consumer_lag_milliseconds", "How far it is behind.", registry=registry)
    encode, _ = choose_encoder("")

    assert "base unit" in checked(encode(registry))


def test_the_page_has_a_row_for_each_with_what_reads_it(metrics: Sequence[CataloguedMetric]) -> None:
    page = metrics_page(metrics, lambda name: ("overview",) if name == "relay_lag_rows" else ())

    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [each.name for each in metrics]
    assert [row.split("`")[1] for row in rows if row.endswith("| overview |")] == ["relay_lag_rows"]


def test_the_page_is_the_one_that_make_docs_makes() -> None:
    printed = typer.testing.CliRunner().invoke(app, ["metrics-page"])

    assert printed.exit_code == 0
    assert printed.stdout == (ROOT / "docs" / "metrics.md").read_text(), "run `make docs`"
