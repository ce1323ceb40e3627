"""Writes `docs/metrics.md` from the catalogue."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from observability.catalogue import CataloguedMetric
from servicekit.service.metrics import Bounded, Values

_HEAD: Final = """\
# Metrics

Every metric that a process shows at `/metrics`, made by `make docs` from the processes' own registries; a test compares
what running processes show with it. The page answers in the format that `Accept` asks for: OpenMetrics, in which
requests and commits that are traced leave a `trace_id` beside their bucket, or Prometheus's text. Units are base units,
instants are seconds since 1970, and counters have no series `_created`. No label tells a wallet, an owner, a tenant, a
path or the text of an error; a process has at most 3,000 series. The canary's tenant is left out of `ledger_*`.

A scrape adds `job` and `service` (the service), `process` (its kind, as below) and `instance` (the process's name).
"""
_TABLE: Final = "| metric | type | unit | labels | processes | what | read by |\n|---|---|---|---|---|---|---|\n"
_PROCESS_NAMES_MAX: Final = 4

ReadBy = Callable[[str], Iterable[str]]
"""Returns what reads the metric of a name: panels and rules."""


def metrics_page(metrics: Sequence[CataloguedMetric], read_by: ReadBy) -> str:
    """Return the page as Markdown."""
    kinds = {process for metric in metrics for process in metric.processes}
    return _HEAD + "\n" + _TABLE + "\n".join(_row(metric, len(kinds), read_by) for metric in metrics) + "\n"


def _row(metric: CataloguedMetric, kinds: int, read_by: ReadBy) -> str:
    labels = "<br>".join(f"`{label}`: {_values(values)}" for label, values in metric.labels.items())
    readers = ", ".join(read_by(metric.name))
    cells = (
        f"`{metric.name}`",
        metric.type,
        metric.unit,
        labels,
        _processes(metric.processes, kinds),
        metric.help,
        readers,
    )
    return "| " + " | ".join(cells) + " |"


def _values(values: Values) -> str:
    if isinstance(values, Bounded):
        return f"{values.what} ({values.at_most} at most)"
    return ", ".join(f"`{value}`" for value in values)


def _processes(processes: Sequence[str], kinds: int) -> str:
    """Return *processes* as a cell: `all`, those of one kind in every service, or by name."""
    if len(processes) == kinds:
        return "all"
    kind = {process.rsplit("-", 1)[1] for process in processes}
    if len(processes) > _PROCESS_NAMES_MAX and len(kind) == 1:
        return f"each `{kind.pop()}`"
    return ", ".join(f"`{process}`" for process in processes)
