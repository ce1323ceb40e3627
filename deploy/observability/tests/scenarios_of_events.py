"""Scenarios of the way of events, and of what follows from them."""

from typing import Final

from deploy.observability.tests.courses import Changing, Counter, Gauge, Phases
from deploy.observability.tests.scenarios import Scenario, of

_UNTIL_AN_HOUR_IS_CALM: Final = Phases(calm=6, trouble=12, after=66, step_s=60)
_HISTORY: Final = 'service="transaction-history",projection="history_index"'
_OF_HISTORY: Final = {"service": "transaction-history", "projection": "history_index"}

PIPELINE: Final = (
    Scenario(
        alert="RelayHalted",
        labels=of("page", service="wallet"),
        series={
            'relay_halted{service="wallet",instance="wallet-api"}': Gauge(0, 1),
            'relay_halted{service="wallet",instance="wallet-relay"}': Gauge(0, None),
            'relay_halted{service="fraud",instance="fraud-relay"}': Gauge(0, 0),
        },
    ),
    Scenario(
        alert="ShardStopped",
        labels=of("page", **_OF_HISTORY, reason="gap"),
        series={
            f'consumer_shards_stopped{{{_HISTORY},instance="a",reason="gap"}}': Gauge(0, 2),
            f'consumer_shards_stopped{{{_HISTORY},instance="a",reason="diverged"}}': Gauge(0, 0),
            'relay_shards_stopped{service="wallet",instance="b"}': Gauge(0, 0),
        },
    ),
    Scenario(
        alert="ShardStopped",
        labels=of("page", service="wallet", reason="gap_in_journal"),
        series={
            'relay_shards_stopped{service="wallet",instance="b"}': Gauge(0, 1),
            'relay_shards_ended_before{service="wallet",instance="b"}': Gauge(0, 0),
        },
    ),
    Scenario(
        alert="ShardStopped",
        labels=of("page", service="wallet", reason="journal_ended_before"),
        series={'relay_shards_ended_before{service="wallet",instance="b"}': Gauge(0, 1)},
    ),
    Scenario(
        alert="NobodyPublishes",
        labels=of("page", service="wallet"),
        series={
            'relay_leases_held{service="wallet",instance="wallet-relay"}': Gauge(32, 32),
            'relay_leases_held{service="wallet",instance="wallet-relay-2"}': Gauge(32, 30),
            'up{service="wallet",process="wallet-relay",instance="wallet-relay"}': Gauge(1, 1),
        },
    ),
    Scenario(
        alert="NobodyPublishes",
        labels=of("page", service="fraud"),
        series={
            'relay_leases_held{service="fraud",instance="fraud-relay"}': Gauge(64, None),
            'up{service="fraud",process="fraud-relay",instance="fraud-relay"}': Gauge(1, 0),
        },
    ),
    Scenario(
        alert="RelayLag",
        labels=of("page", service="wallet"),
        series={
            'relay_lag_seconds{service="wallet",instance="wallet-relay"}': Gauge(0.1, 45),
            'relay_lag_seconds{service="wallet",instance="wallet-relay-2"}': Gauge(0.1, 2),
        },
    ),
    Scenario(
        alert="ConsumerLag",
        labels=of("page", **_OF_HISTORY),
        series={f'consumer_lag_seconds{{{_HISTORY},instance="a"}}': Gauge(0.2, 90)},
    ),
    Scenario(
        alert="WalletParked",
        labels=of("page", **_OF_HISTORY),
        series={
            f'consumer_parked_subjects{{{_HISTORY},instance="a"}}': Gauge(60, 101),
            f'consumer_parked_subjects{{{_HISTORY},instance="b"}}': Gauge(60, 101),
        },
    ),
    Scenario(
        alert="WalletParked",
        labels=of("ticket", **_OF_HISTORY),
        series={f'consumer_parked_subjects{{{_HISTORY},instance="a"}}': Gauge(0, 1)},
    ),
)

FOLLOWING: Final = (
    Scenario(
        alert="WebhooksLate",
        labels=of("ticket", service="notifications"),
        series={'webhook_deliveries_due_oldest_seconds{service="notifications",instance="a"}': Gauge(1, 90)},
    ),
    Scenario(
        alert="WebhooksExhausted",
        labels=of("ticket", service="notifications"),
        series={'webhook_deliveries_exhausted_total{service="notifications",instance="a"}': Counter(0, 1)},
        phases=_UNTIL_AN_HOUR_IS_CALM,
    ),
    Scenario(
        alert="EndpointDisabled",
        labels=of("ticket", service="notifications"),
        series={'webhook_endpoints{service="notifications",instance="a",status="disabled"}': Changing(4)},
        phases=_UNTIL_AN_HOUR_IS_CALM,
    ),
    Scenario(
        alert="FraudDecisionsLate",
        labels=of("ticket", service="fraud"),
        series={
            f'fraud_decision_seconds_bucket{{service="fraud",rule="burst",mode="live",le="{le}"}}': Counter(10, trouble)
            for le, trouble in (("1.0", 2), ("5.0", 4), ("10.0", 8), ("+Inf", 10))
        },
    ),
    Scenario(
        alert="FraudRulesRefused",
        labels=of("ticket", service="fraud"),
        series={'fraud_rules_reload_failures_total{service="fraud",instance="a"}': Counter(0, 1)},
        phases=_UNTIL_AN_HOUR_IS_CALM,
    ),
)
