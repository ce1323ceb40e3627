"""Asks the running Prometheus what panels show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from observability.panels import Panel, View

SPAN_S: Final = 1_800
STEP_S: Final = 15
RECENT_S: Final = 60
"""Of numbers and tables, which show what is now."""
TIMEOUT_S: Final = 10.0


class NotAsked(Exception):
    """Prometheus or the database did not answer; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a panel: its legend, its labels, and its values by time in seconds since 1970, none of them NaN."""

    legend: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a panel shows: *series* of each of its queries, or *rows* under the names of *columns*."""

    panel: Panel
    series: Sequence[Sequence[Series]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()

    @property
    def is_filled(self) -> bool:
        """Whether there is something to show for each query."""
        return bool(self.rows) if self.panel.sql is not None else bool(self.series) and all(self.series)


class PrometheusClient:
    """Asks one Prometheus about a span of time that ends at *now*, in seconds since 1970."""

    def __init__(self, client: httpx2.Client, now: float) -> None:
        self._client = client
        self._now = now

    def answer(self, panel: Panel) -> Answer:
        """Return what *panel* shows. Raises NotAsked."""
        span_s = RECENT_S if panel.view in (View.NUMBERS, View.TABLE) else SPAN_S
        return Answer(panel=panel, series=[self._series(each.expr, each.legend, span_s) for each in panel.queries])

    def _series(self, expr: str, legend: str, span_s: int) -> list[Series]:
        span = {"start": self._now - span_s, "end": self._now, "step": STEP_S}
        try:
            answered = self._client.get("/api/v1/query_range", params={"query": expr, **span})
            found = answered.json()
        except (httpx2.HTTPError, ValueError) as error:
            message = f"Prometheus at {self._client.base_url} does not answer ({said(error)}): "
            raise NotAsked(message + "`make up OBSERVE=1` starts it, PROMETHEUS_PORT says where it is") from error
        if found.get("status") != "success":
            raise NotAsked(f"Prometheus refuses {expr!r}: {found.get('error', answered.status_code)}")
        told = [_series(legend, each) for each in found["data"]["result"]]
        return sorted((each for each in told if each.points), key=lambda each: each.legend)


def _series(legend: str, result: Mapping[str, Any]) -> Series:
    labels = {name: value for name, value in result["metric"].items() if name != "__name__"}
    values = [(float(at), float(value)) for at, value in result["values"]]
    return Series(named(legend, labels), labels, [point for point in values if not math.isnan(point[1])])


def said(error: Exception) -> str:
    """Return what *error* says, or what it is."""
    return str(error) or type(error).__name__


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return *legend* with the labels that it names, those a series lacks left out."""
    for name in legend.split("{{")[1:]:
        label = name.split("}}")[0]
        legend = legend.replace(f"{{{{{label}}}}}", labels.get(label, ""))
    return " ".join(legend.split())
