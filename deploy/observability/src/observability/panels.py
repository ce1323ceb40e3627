"""What dashboards are declared as: panels, what each asks, and when what it shows is bad."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WIDTH: Final = 24
"""Columns of a dashboard's grid."""
RUNBOOKS: Final = "runbooks"


class View(StrEnum):
    """How a panel shows what it asks."""

    LINES = "lines"
    NUMBERS = "numbers"
    TABLE = "table"
    BUCKETS = "buckets"
    """A histogram over time; its query yields the bounds as `le`."""
    CELLS = "cells"
    """A row for each series over time, coloured by its value."""


class Unit(StrEnum):
    """What the values of a panel are, by Grafana's names."""

    COUNT = "short"
    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_S = "binBps"
    PER_S = "ops"
    SHARE = "percentunit"
    YES_NO = "bool_yes_no"


class Needs(StrEnum):
    """Why a panel of a healthy system may have nothing to show."""

    STANDBY = "no standby follows the database"
    SLOT = "the database has no replication slot"
    FRAUD = "no fraud rule has fired of late"
    CERTIFICATES = "nothing here uses certificates"
    GATEWAY = "no gateway stands before the platform"
    CUSTOMERS = "nobody but the canary has wallets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which value on something is worth a look, and from which on it is bad; below them where *falling*."""

    look: float | None = None
    bad: float | None = None
    is_falling: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of PromQL; *legend* names each series by its labels, as in `{{service}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. *number* stays the panel's, whatever is added before it; *told* is one sentence.

    *page* is what to read when it looks bad, below `docs/`. A panel asks Prometheus its *queries*, or PostgreSQL *sql*.
    """

    number: int
    title: str
    told: str
    view: View
    unit: Unit
    thresholds: Thresholds
    page: str
    queries: tuple[Query, ...] = ()
    sql: str | None = None
    needs: Needs | None = None
    width: int = 8
    height: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; its *name* is its file's, its page's and its uid."""

    name: str
    title: str
    told: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands, in columns and rows of the grid."""

    x: int
    y: int
    width: int
    height: int


GOOD: Final = Thresholds()
"""Of what is neither good nor bad by itself."""
NONE_IS_GOOD: Final = Thresholds(bad=1)
"""Of what should not happen at all."""
SOME_IS_NOTABLE: Final = Thresholds(look=0.001)
"""Of rates of what happens now and then, and should not often."""
ALL_IS_GOOD: Final = Thresholds(bad=1, is_falling=True)
"""Of yes and no."""


def above(bad: float, *, look: float | None = None) -> Thresholds:
    """Return that values of *bad* and more are bad, of *look* and more worth a look."""
    return Thresholds(bad=bad, look=look)


def below(bad: float, *, look: float | None = None) -> Thresholds:
    """Return that values of less than *bad* are bad, of less than *look* worth a look."""
    return Thresholds(bad=bad, look=look, is_falling=True)


def runbook(alert: str) -> str:
    """Return the page of an alert."""
    return f"{RUNBOOKS}/{alert}.md"


def legend_of(by: str) -> str:
    """Return the legend that tells each of the labels *by*."""
    return " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))


def total(by: str, selector: str) -> Query:
    """Return the sum of gauges."""
    return Query(f"sum by ({by}) ({selector})", legend_of(by))


def most(by: str, selector: str, legend: str | None = None) -> Query:
    """Return the largest of gauges: what every instance shows alike, or what one alone has to be told by."""
    return Query(f"max by ({by}) ({selector})", legend_of(by) if legend is None else legend)


def least(by: str, selector: str) -> Query:
    """Return the smallest of gauges."""
    return Query(f"min by ({by}) ({selector})", legend_of(by))


def per_s(by: str, selector: str, legend: str | None = None) -> Query:
    """Return how often in a second a counter grew within the last minute."""
    return Query(f"sum by ({by}) (rate({selector}[1m]))", legend_of(by) if legend is None else legend)


def within_hour(by: str, selector: str, legend: str | None = None) -> Query:
    """Return by how much a counter grew within the last hour."""
    return Query(f"sum by ({by}) (increase({selector}[1h]))", legend_of(by) if legend is None else legend)


def quantile(share: float, by: str, histogram: str, selector: str = "") -> Query:
    """Return what *share* of a histogram's observations of the last five minutes are within."""
    grouped = f"{by}, le" if by else "le"
    rate = f"sum by ({grouped}) (rate({histogram}_bucket{selector}[5m]))"
    return Query(f"histogram_quantile({share}, {rate})", f"p{share * 100:g} {legend_of(by) if by else ''}".strip())


def quantiles(by: str, histogram: str, selector: str = "") -> tuple[Query, Query]:
    """Return the median and the slowest of a hundred."""
    return quantile(0.5, by, histogram, selector), quantile(0.99, by, histogram, selector)


def recorded(rule: str, by: str) -> Query:
    """Return what a recording rule has; its series are told apart by the labels *by*."""
    return Query(rule, legend_of(by))


def places(panels: tuple[Panel, ...]) -> list[Place]:
    """Return where each panel stands: from left to right, and on below the highest where no room is left."""
    x = y = row_height = 0
    found = []
    for panel in panels:
        if x + panel.width > WIDTH:
            x, y, row_height = 0, y + row_height, 0
        found.append(Place(x, y, panel.width, panel.height))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return found
