"""What recording rules and alerts are declared as.

Expressions are PromQL, but for `$seconds(15m)`, which stands for that many seconds and is divided with the windows.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

JOB: Final = "exported_job"
"""The label of a maintenance job's series: Prometheus has renamed it, since every target has a `job` of its own."""


class Severity(StrEnum):
    """Whether somebody is woken, or looks at it the next working day."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording rule; *labels* are added to what *expr* yields."""

    record: str
    expr: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """From when an alert fires, for whom, and for how long it must have been so; *labels* are added.

    It fires for *keep_for* after it is over, where what it silences ends later than its cause.
    """

    severity: Severity
    expr: str
    for_: str = "0s"
    keep_for: str = "0s"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert, which has one page, with one threshold or several.

    *summary* and *description* are one sentence each, with `$labels` and `$value`.
    """

    name: str
    thresholds: tuple[Threshold, ...]
    summary: str
    description: str


Rule: TypeAlias = Recording | Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules that are evaluated one after another, each with what those before it have recorded.

    *interval* is None: as often as Prometheus evaluates by default.
    """

    name: str
    rules: tuple[Rule, ...]
    interval: str | None = None


def page(expr: str, for_: str = "0s", *, keep_for: str = "0s", **labels: str) -> Threshold:
    """Return a threshold that wakes somebody."""
    return Threshold(severity=Severity.PAGE, expr=expr, for_=for_, keep_for=keep_for, labels=labels)


def ticket(expr: str, for_: str = "0s", **labels: str) -> Threshold:
    """Return a threshold that waits for the next working day."""
    return Threshold(severity=Severity.TICKET, expr=expr, for_=for_, labels=labels)
