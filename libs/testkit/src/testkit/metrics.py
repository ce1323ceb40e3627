"""What running processes show at `/metrics`, compared with the catalogue."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from observability.catalogue import CataloguedMetric, catalogue, name_of
from servicekit.service.metrics import Bounded

OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
"""The `Accept` of who wants exemplars."""
SERIES_MAX: Final = 3_000


def breaches_of_the_catalogue(pages: Mapping[str, str]) -> list[str]:
    """Return what *pages* (by kind of process, in OpenMetrics) show that the catalogue does not know of them."""
    known = {metric.name: metric for metric in catalogue()}
    return [breach for process, page in pages.items() for breach in _breaches(process, page, known)]


def families_of(page: str) -> list[Metric]:
    """Return the families of *page*, which is in OpenMetrics."""
    return list(text_string_to_metric_families(page))  # type: ignore[no-untyped-call]  # the client annotates it not


def exemplars(page: str, name: str) -> set[str]:
    """Return the traces that *page* (OpenMetrics) has beside the buckets of a histogram."""
    families = [family for family in families_of(page) if family.name == name]
    found = [sample.exemplar for family in families for sample in family.samples]
    return {each.labels["trace_id"] for each in found if each is not None}


def _breaches(process: str, page: str, known: Mapping[str, CataloguedMetric]) -> Iterator[str]:
    families = families_of(page)
    series = sum(len(family.samples) for family in families)
    if series > SERIES_MAX:
        yield f"{process} shows {series} series, {SERIES_MAX} at most"
    for family in families:
        metric = known.get(name_of(family))
        if metric is None or process not in metric.processes:
            yield f"{process} shows {name_of(family)}, which is not catalogued of it"
        else:
            yield from (f"{process}: {breach}" for breach in _wrong_labels(family, metric))


def _wrong_labels(family: Metric, metric: CataloguedMetric) -> Iterator[str]:
    seen: dict[str, set[str]] = {}
    for sample in family.samples:
        labels = _labels(sample)
        if labels.keys() != metric.labels.keys():
            yield f"{metric.name} has {sorted(labels)} and not {sorted(metric.labels)}"
            return
        for label, value in labels.items():
            seen.setdefault(label, set()).add(value)
    for label, values in seen.items():
        allowed = metric.labels[label]
        if isinstance(allowed, Bounded):
            if len(values) > allowed.at_most:
                yield f"{metric.name} has {len(values)} values of {label}, {allowed.at_most} at most"
        elif values - set(allowed):
            yield f"{metric.name} has {label} {sorted(values - set(allowed))}"


def _labels(sample: Sample) -> dict[str, str]:
    return {label: value for label, value in sample.labels.items() if label != "le"}
