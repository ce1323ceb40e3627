"""Every metric that a process of the platform shows, found by opening each one's registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.metrics_core import Metric

from access.bootstrap import METRICS as ACCESS
from fraud.bootstrap import METRICS as FRAUD
from notifications.bootstrap import METRICS as NOTIFICATIONS
from servicekit.service.metrics import KIT_LABELS, Labels, ServiceMetrics
from transaction_history.bootstrap.metrics import METRICS as HISTORY
from wallet.bootstrap.metrics import METRICS as WALLET

SERVICES: Final[Sequence[ServiceMetrics]] = (ACCESS, WALLET, HISTORY, NOTIFICATIONS, FRAUD)
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
UNITS: Final = ("seconds", "bytes")
"""The units that stand in names; what has none counts what its name says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedMetric:
    """A metric as it stands in queries, its *unit* ("" where it counts), labels, and the kinds of processes with it."""

    name: str
    type: str
    unit: str
    labels: Labels
    processes: tuple[str, ...]
    help: str


def catalogue() -> list[CataloguedMetric]:
    """Return every metric, by name."""
    found: dict[str, Metric] = {}
    processes: dict[str, list[str]] = {}
    for process, families in families_by_process().items():
        for family in families:
            name = name_of(family)
            found[name] = family
            processes.setdefault(name, []).append(process)
    labels = declared_labels()
    return [
        CataloguedMetric(
            name=name,
            type=found[name].type,
            unit=_unit_of(name),
            labels=labels.get(name, {}),
            processes=tuple(sorted(processes[name])),
            help=found[name].documentation,
        )
        for name in sorted(found)
    ]


def families_by_process() -> dict[str, list[Metric]]:
    """Return the families of each kind of process (`wallet-api`)."""
    return {
        f"{metrics.service.slug}-{process}": list(registry.collect())
        for metrics in SERVICES
        for process, registry in metrics.registries().items()
    }


def declared_labels() -> Mapping[str, Labels]:
    """Return the labels of each metric that has some."""
    labels: dict[str, Labels] = dict(KIT_LABELS)
    for metrics in SERVICES:
        labels |= metrics.labels
    return labels


def name_of(family: Metric) -> str:
    """Return the name that queries have for *family*; a histogram's stands without `_bucket`, `_sum` and `_count`."""
    return family.name + _SUFFIXES.get(family.type, "")


def _unit_of(name: str) -> str:
    words = name.removesuffix("_total").split("_")
    return words[-1] if words[-1] in UNITS else ""
