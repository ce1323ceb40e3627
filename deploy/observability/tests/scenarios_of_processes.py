"""Scenarios of the processes: whether they run, and what they are like inside."""

from typing import Final

from deploy.observability.tests.courses import Changing, Clock, Counter, Course, Gauge, Phases
from deploy.observability.tests.scenarios import Scenario, of

from observability.alerts import processes

_API: Final = 'service="wallet",process="wallet-api"'
_AN_INSTANCE: Final = f'{_API},instance="wallet-api"'
_ANOTHER: Final = f'{_API},instance="wallet-api-2"'
_OF_API: Final = {"service": "wallet", "process": "wallet-api"}
_OF_INSTANCE: Final = {**_OF_API, "instance": "wallet-api"}
_DAY_S: Final = 86_400
TARGETS: Final[dict[str, Course]] = {
    **{f'up{{process="{name}",instance="{name}"}}': Gauge(1, 1) for name in processes.PROCESSES},
    **{f'up{{service="{name}",instance="{name}"}}': Gauge(1, 1) for name in processes.EXPORTERS},
}
"""Every target that there has to be, up."""


def _expires(severity: str, calm_days: int, trouble_days: int) -> Scenario:
    return Scenario(
        alert="CertificateExpires",
        labels=of(severity, service="wallet", kind="certificate", name="api"),
        series={
            f'not_after_timestamp_seconds{{{_AN_INSTANCE},kind="certificate",name="api"}}': Gauge(
                calm_days * _DAY_S, trouble_days * _DAY_S
            ),
            f'not_after_timestamp_seconds{{{_AN_INSTANCE},kind="authority",name="kafka"}}': Gauge(
                400 * _DAY_S, 400 * _DAY_S
            ),
        },
    )


OF_TARGETS: Final = (
    Scenario(
        alert="ServiceDown",
        labels=of("page", **_OF_API),
        series={
            f'up{{{_API},instance="wallet-api"}}': Gauge(1, 0),
            f'up{{{_API},instance="wallet-api-2"}}': Gauge(1, 0),
            'up{service="wallet",process="wallet-relay",instance="wallet-relay"}': Gauge(1, 1),
            'up{service="node",instance="node"}': Gauge(1, 0),
        },
    ),
    Scenario(
        alert="InstanceDown",
        labels=of("ticket", **_OF_INSTANCE),
        series={
            f'up{{{_API},instance="wallet-api"}}': Gauge(1, 0),
            f'up{{{_API},instance="wallet-api-2"}}': Gauge(1, 1),
        },
    ),
    Scenario(
        alert="TargetMissing",
        labels=of("ticket", process="wallet-relay"),
        series={**TARGETS, 'up{process="wallet-relay",instance="wallet-relay"}': Gauge(1, None)},
        phases=Phases(trouble=60),
    ),
    Scenario(
        alert="TargetMissing",
        labels=of("ticket", service="kafka"),
        series={**TARGETS, 'up{service="kafka",instance="kafka"}': Gauge(1, None)},
        phases=Phases(trouble=60),
    ),
)

PROCESSES: Final = (
    Scenario(
        alert="ProcessRestarting",
        labels=of("ticket", **_OF_INSTANCE),
        series={f"process_start_time_seconds{{{_AN_INSTANCE}}}": Changing(5)},
        phases=Phases(calm=6, trouble=8, after=20, step_s=60),
    ),
    Scenario(
        alert="ReleaseSkew",
        labels=of("ticket", service="wallet"),
        series={
            'build_info{service="wallet",instance="wallet-api",version="1.4.0"}': Gauge(1, 1),
            'build_info{service="wallet",instance="wallet-api-2",version="1.5.0"}': Gauge(None, 1),
            'build_info{service="fraud",instance="fraud-api",version="0.9.0"}': Gauge(1, 1),
        },
        phases=Phases(calm=6, trouble=66, after=8, step_s=60),
    ),
    Scenario(
        alert="EventLoopBlocked",
        labels=of("ticket", **_OF_INSTANCE),
        series={
            f'event_loop_delay_seconds_bucket{{{_AN_INSTANCE},le="{le}"}}': Counter(100, trouble)
            for le, trouble in (("0.1", 50), ("0.25", 60), ("0.5", 80), ("+Inf", 100))
        },
    ),
    Scenario(
        alert="PoolExhausted",
        labels=of("page", **_OF_INSTANCE, pool="reads"),
        series={
            f'db_pool_connections_busy{{{_AN_INSTANCE},pool="reads"}}': Gauge(2, 8),
            f'db_pool_connections_max{{{_AN_INSTANCE},pool="reads"}}': Gauge(8, 8),
            f'db_pool_acquire_failures_total{{{_AN_INSTANCE},pool="reads",reason="timeout"}}': Counter(0, 20),
            # Full, and nobody waits for it in vain.
            f'db_pool_connections_busy{{{_AN_INSTANCE},pool="committer"}}': Gauge(2, 2),
            f'db_pool_connections_max{{{_AN_INSTANCE},pool="committer"}}': Gauge(2, 2),
        },
    ),
    _expires("page", 400, 2),
    _expires("ticket", 400, 20),
    Scenario(
        alert="TwoLeaders",
        labels=of("page", service="wallet", exported_job="forget_keys"),
        series={
            f'maintenance_is_leader{{{_API},instance="wallet-api",exported_job="forget_keys"}}': Gauge(1, 1),
            f'maintenance_is_leader{{{_API},instance="wallet-api-2",exported_job="forget_keys"}}': Gauge(0, 1),
            f'maintenance_is_leader{{{_API},instance="wallet-api-2",exported_job="sweep"}}': Gauge(1, 1),
            'maintenance_is_leader{service="access",instance="access-worker",exported_job="forget_keys"}': Gauge(1, 1),
        },
    ),
    Scenario(
        alert="MaintenanceLate",
        labels=of("ticket", service="wallet", exported_job="sweep"),
        series={
            f"process_start_time_seconds{{{_AN_INSTANCE}}}": Gauge(0, 0),
            f'maintenance_interval_seconds{{{_AN_INSTANCE},exported_job="sweep"}}': Gauge(60, 60),
            f'maintenance_last_success_timestamp_seconds{{{_AN_INSTANCE},exported_job="sweep"}}': Clock(-4),
            f'maintenance_is_leader{{{_AN_INSTANCE},exported_job="sweep"}}': Gauge(1, 1),
            f'maintenance_interval_seconds{{{_AN_INSTANCE},exported_job="weekly"}}': Gauge(600_000, 600_000),
            # Paused by an operator.
            f'maintenance_interval_seconds{{{_AN_INSTANCE},exported_job="paused"}}': Gauge(60, 60),
            f'maintenance_last_success_timestamp_seconds{{{_AN_INSTANCE},exported_job="paused"}}': Clock(-4),
            f'maintenance_is_leader{{{_AN_INSTANCE},exported_job="paused"}}': Gauge(0, 0),
            f'maintenance_paused{{{_AN_INSTANCE},exported_job="paused"}}': Gauge(1, 1),
            # The leader's is enough.
            f"process_start_time_seconds{{{_ANOTHER}}}": Gauge(0, 0),
            f'maintenance_is_leader{{{_ANOTHER},exported_job="sweep"}}': Gauge(0, 0),
            f'maintenance_interval_seconds{{{_ANOTHER},exported_job="sweep"}}': Gauge(60, 60),
        },
    ),
    Scenario(
        # One of two instances has never ended a run since its process was started.
        alert="MaintenanceLate",
        labels=of("ticket", service="wallet", instance="wallet-api", exported_job="partitions"),
        series={
            f"process_start_time_seconds{{{_AN_INSTANCE}}}": Clock(-3),
            f'maintenance_interval_seconds{{{_AN_INSTANCE},exported_job="partitions"}}': Gauge(1, 1),
            f"process_start_time_seconds{{{_ANOTHER}}}": Gauge(0, 0),
            f'maintenance_interval_seconds{{{_ANOTHER},exported_job="partitions"}}': Gauge(1, 1),
            f'maintenance_last_success_timestamp_seconds{{{_ANOTHER},exported_job="partitions"}}': Gauge(1e9, 1e9),
        },
    ),
)
