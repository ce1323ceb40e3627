"""Scenarios of what clients notice, and of money."""

from typing import Final

from deploy.observability.tests.courses import Clock, Counter, Course, Gauge, Phases
from deploy.observability.tests.scenarios import Scenario, of

_REQUESTS: Final = "http_request_duration_seconds"
_A_READ: Final = 'service="fraud",method="GET",route="/v1/risk/rules",status="200"'
_A_COMMAND: Final = 'service="wallet",method="POST",route="/v1/deposits",status="201"'
_VISIBLE: Final = 'service="transaction-history",projection="transaction_history"'
_MINUTE_S: Final = 60
_UNTIL_5_MINUTES_ARE_CALM: Final = Phases(calm=6, trouble=11, after=10, step_s=_MINUTE_S)
_UNTIL_30_MINUTES_ARE_CALM: Final = Phases(calm=6, trouble=20, after=40, step_s=_MINUTE_S)
_UNTIL_6_HOURS_ARE_CALM: Final = Phases(calm=15, trouble=15, after=225, step_s=2 * _MINUTE_S)


def _observed(histogram: str, labels: str, le: str) -> dict[str, Course]:
    """Return a histogram whose observations are all beyond the bound *le* in trouble: 4 a second."""
    return {
        f'{histogram}_bucket{{{labels},le="{le}"}}': Counter(240, 0),
        f"{histogram}_count{{{labels}}}": Counter(240, 240),
    }


def _failing(window: str, severity: str, phases: Phases) -> Scenario:
    """Return the scenario that a tenth of the commands fail, and the burn rate over *window* is told."""
    labels = 'service="wallet",instance="wallet-api",method="POST",route="/v1/deposits"'
    return Scenario(
        alert="ErrorBudgetBurn",
        labels=of(severity, service="wallet", slo="commands_answered", window=window),
        series={
            f'{_REQUESTS}_count{{{labels},status="201"}}': Counter(300, 300),
            f'{_REQUESTS}_count{{{labels},status="503"}}': Counter(0, 30),
        },
        phases=phases,
    )


def _slow(objective: str, service: str, series: dict[str, Course]) -> Scenario:
    labels = of("page", service=service, slo=objective, window="1h")
    return Scenario(alert="LatencyBudgetBurn", labels=labels, series=series, phases=_UNTIL_5_MINUTES_ARE_CALM)


BUDGETS: Final = (
    _failing("1h", "page", _UNTIL_5_MINUTES_ARE_CALM),
    _failing("6h", "page", _UNTIL_30_MINUTES_ARE_CALM),
    _failing("3d", "ticket", _UNTIL_6_HOURS_ARE_CALM),
    _slow("commands_fast", "wallet", _observed(_REQUESTS, _A_COMMAND, "0.2")),
    _slow("reads_fast", "fraud", _observed(_REQUESTS, _A_READ, "0.2")),
    _slow("commands_visible", "transaction-history", _observed("consumer_visible_seconds", _VISIBLE, "1.0")),
    _slow(
        "webhooks_attempted",
        "notifications",
        _observed("webhook_first_attempt_seconds", 'service="notifications"', "5.0"),
    ),
    Scenario(
        alert="ProbeFailing",
        labels=of("page", step="transfer"),
        series={
            'probe_success{service="probe",step="deposit"}': Gauge(1, 1),
            'probe_success{service="probe",step="transfer"}': Gauge(1, 0),
            'probe_last_run_timestamp_seconds{service="probe"}': Clock(-2),
        },
        phases=Phases(trouble=3 + 4),
    ),
    Scenario(
        alert="ProbeFailing",
        labels=of("page", step="run"),
        series={'probe_last_run_timestamp_seconds{service="probe"}': Clock(-2)},
    ),
    Scenario(
        # Gone, and with it what it told.
        alert="ProbeFailing",
        labels=of("page", step="run"),
        series={
            'probe_success{service="probe",step="deposit"}': Gauge(1, None),
            'up{service="probe",instance="probe"}': Gauge(1, 0),
        },
    ),
)

LEDGER: Final = (
    Scenario(
        alert="InvariantBroken",
        labels=of("page", service="wallet", invariant="I2"),
        series={
            'invariant_violations{service="wallet",instance="a",invariant="I2"}': Gauge(0, 3),
            'invariant_violations{service="wallet",instance="a",invariant="I1"}': Gauge(0, 0),
        },
    ),
    Scenario(
        alert="InvariantUnchecked",
        labels=of("ticket", service="wallet", invariant="I4"),
        series={'invariant_checked_timestamp_seconds{service="wallet",instance="a",invariant="I4"}': Clock(-10)},
        phases=Phases(trouble=64),
    ),
    Scenario(
        alert="JournalRoomLow",
        labels=of("page", service="wallet"),
        series={
            'wallet_journal_headroom_sequences{service="wallet",instance="wallet-api"}': Gauge(1_200_000, 262_144),
            'wallet_journal_headroom_sequences{service="wallet",instance="wallet-api-2"}': Gauge(1_200_000, 300_000),
        },
    ),
    Scenario(
        alert="CommandsRefused",
        labels=of("ticket", service="wallet"),
        series={
            'wallet_commands_total{service="wallet",type="deposit",outcome="accepted"}': Counter(3_000, 3_000),
            'wallet_refused_total{service="wallet",reason="queue_full"}': Counter(0, 90),
        },
    ),
    Scenario(
        alert="QueueOld",
        labels=of("ticket", service="wallet", instance="wallet-api"),
        series={
            'wallet_queue_age_seconds{service="wallet",instance="wallet-api"}': Gauge(0.01, 0.8),
            'wallet_queue_age_seconds{service="wallet",instance="wallet-api-2"}': Gauge(0.01, 0.01),
        },
    ),
)
