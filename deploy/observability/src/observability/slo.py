"""The objectives: what clients may expect, and how fast their error budgets may burn."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_COMMANDS: Final = 'method=~"POST|PUT|PATCH|DELETE",route=~"/v1/.+"'
"""What changes something: health, metrics and what no route takes are no product."""
_READS: Final = 'method="GET",route=~"/v1/.+",route!~".+/file|/v1/history/downloads/.+"'
"""Files are left out: how long one takes follows from its size and its reader."""
_ANSWERED: Final = 'status!~"5.."'
_SINGLE: Final = f'{_COMMANDS},route!="/v1/batches",{_ANSWERED}'
"""A batch takes as long as its up to 1,000 commands."""
_HISTORY: Final = 'service="transaction-history",projection="transaction_history"'

REQUESTS_PER_S_MIN: Final = 1
"""Of fewer, a ratio says little: then the probe decides."""
BUDGET_WINDOW: Final = "30d"


class Kind(StrEnum):
    """What an objective is about."""

    ERRORS = "errors"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Of all that is counted by `requests`, at least *target* are to be good; both are rates per second by service.

    `bad` yields a value wherever `requests` does.
    """

    name: str
    told: str
    kind: Kind
    target: float
    requests: str
    bad: str

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return round(1 - self.target, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """An alert when the budget burns *factor* times too fast, over both windows, for as long as *for_*."""

    factor: float
    short: str
    long: str
    for_: str
    wakes: bool


BURN_RATES: Final = (
    BurnRate(factor=14.4, short="5m", long="1h", for_="1m", wakes=True),
    BurnRate(factor=6, short="30m", long="6h", for_="5m", wakes=True),
    BurnRate(factor=1, short="6h", long="3d", for_="15m", wakes=False),
)
"""Those of the SRE workbook: 2 % of the budget of 30 days in an hour, 5 % in six hours, 10 % in three days."""


def _per_s(selector: str) -> str:
    return f"sum by (service) (rate({selector}[5m]))"


def _latency(name: str, told: str, *, histogram: str, selector: str, within: str) -> Objective:
    """Return the objective that 99 % of a histogram's observations are within one of its buckets' bounds."""
    requests = _per_s(f"{histogram}_count{{{selector}}}")
    fast = _per_s(f'{histogram}_bucket{{{selector},le="{within}"}}')
    return Objective(
        name=name,
        told=told,
        kind=Kind.LATENCY,
        target=0.99,
        requests=requests,
        bad=f"clamp_min({requests} - {fast}, 0)",
    )


_COMMAND_RATE: Final = _per_s(f"http_request_duration_seconds_count{{{_COMMANDS}}}")
_COMMAND_ERRORS: Final = _per_s(f'http_request_duration_seconds_count{{{_COMMANDS},status=~"5.."}}')

OBJECTIVES: Final = (
    Objective(
        name="commands_answered",
        told="requests that change something are answered, with anything but a 5xx",
        kind=Kind.ERRORS,
        target=0.999,
        requests=_COMMAND_RATE,
        bad=f"({_COMMAND_ERRORS} or 0 * {_COMMAND_RATE})",
    ),
    _latency(
        "commands_fast",
        "single commands that are answered are so within 200 ms",
        histogram="http_request_duration_seconds",
        selector=_SINGLE,
        within="0.2",
    ),
    _latency(
        "reads_fast",
        "reads that are answered are so within 200 ms, files aside",
        histogram="http_request_duration_seconds",
        selector=f"{_READS},{_ANSWERED}",
        within="0.2",
    ),
    _latency(
        "commands_visible",
        "events are in the history within 1 s",
        histogram="consumer_visible_seconds",
        selector=_HISTORY,
        within="1.0",
    ),
    _latency(
        "webhooks_attempted",
        "webhooks are first attempted within 5 s of their event",
        histogram="webhook_first_attempt_seconds",
        selector='service="notifications"',
        within="5.0",
    ),
)
