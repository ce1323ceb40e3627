"""Alerts on the processes: whether they run, are scraped, keep house, and of which release they are."""

from typing import Final

from local_stack.services import SERVICES
from observability.declaring import JOB, Alert, page, ticket

_DAY_S: Final = 86_400
EXPORTERS: Final = ("postgres", "kafka", "node", "probe")
"""The `service` of targets that are no process of a service and yet have to be there."""
_OWN: Final = f'service!~"{"|".join(EXPORTERS)}"'
PROCESSES: Final = tuple(process.name for service in SERVICES for process in service.processes)
_MISSING: Final = "\nor ".join(
    (
        *(f'absent(up{{process="{name}"}})' for name in PROCESSES),
        *(f'absent(up{{service="{name}"}})' for name in EXPORTERS),
    )
)
_EXPIRY: Final = "min by (service, kind, name) (not_after_timestamp_seconds) - time()"
_BY_JOB: Final = f"by (service, {JOB})"
_SINCE: Final = (
    f"(maintenance_last_success_timestamp_seconds or on (instance, {JOB})"
    " 0 * maintenance_interval_seconds + on (instance) group_left () process_start_time_seconds)"
)
"""When a job last ended well; one that has not since its process started is as old as that."""


def _late(by: str, jobs: str) -> str:
    """Return the expression that of *jobs* those of a kind *by* are late; who paused one knows that it rests.

    Runs are seen by scrapes, and one that catches up may take 20 s: within a minute nothing is late.
    """
    wanted = f"{jobs} unless on (service, {JOB}) maintenance_paused == 1"
    late = f"time() - max {by} ({_SINCE} {wanted}) > clamp_min(3 * max {by} (maintenance_interval_seconds), 60)"
    return f"({late})"


TARGETS: Final = (
    Alert(
        name="ServiceDown",
        thresholds=(page(f"max by (service, process) (up{{{_OWN}}}) == 0", "30s"),),
        summary="No {{ $labels.process }} runs",
        description="Not one instance of {{ $labels.process }} answers its scrapes: what it does for "
        "{{ $labels.service }} is not done.",
    ),
    Alert(
        name="InstanceDown",
        thresholds=(ticket("max by (service, process, instance) (up) == 0", "1m"),),
        summary="{{ $labels.instance }} does not answer",
        description="{{ $labels.instance }} has not answered its scrapes for a minute; what it does is left to the "
        "other instances, where there are any.",
    ),
    Alert(
        name="TargetMissing",
        thresholds=(ticket(_MISSING, "5m"),),
        summary="{{ $labels.process }}{{ $labels.service }} is not scraped",
        description="{{ $labels.process }}{{ $labels.service }} is part of the platform and no target of Prometheus: "
        "no alert can tell anything about it.",
    ),
    Alert(
        name="DeadMansSwitch",
        thresholds=(page("vector(1)"),),
        summary="Alerts arrive",
        description="This alert always fires. When it stops arriving, Prometheus, Alertmanager or the way from them is "
        "broken, and whoever receives it pages.",
    ),
)

ALERTS: Final = (
    Alert(
        name="ProcessRestarting",
        thresholds=(ticket("max by (service, process, instance) (changes(process_start_time_seconds[15m])) > 2"),),
        summary="{{ $labels.instance }} was started {{ $value }} times within 15 minutes",
        description="{{ $labels.instance }} ends and is started again, {{ $value }} times within 15 minutes.",
    ),
    Alert(
        name="ReleaseSkew",
        thresholds=(ticket("count by (service) (count by (service, version) (build_info)) > 1", "1h"),),
        summary="{{ $value }} releases of {{ $labels.service }} run",
        description="For an hour processes of {{ $value }} releases of {{ $labels.service }} have run beside each "
        "other, longer than a release takes.",
    ),
    Alert(
        name="EventLoopBlocked",
        thresholds=(
            ticket(
                "histogram_quantile(0.99, sum by (service, process, instance, le)"
                " (rate(event_loop_delay_seconds_bucket[5m]))) > 0.25",
                "5m",
            ),
        ),
        summary="The event loop of {{ $labels.instance }} is late by {{ $value | humanizeDuration }}",
        description="One in a hundred timers of {{ $labels.instance }} fires {{ $value | humanizeDuration }} late: "
        "everything that it does waits as long.",
    ),
    Alert(
        name="PoolExhausted",
        thresholds=(
            page(
                "max by (service, process, instance, pool) (db_pool_connections_busy)"
                " >= max by (service, process, instance, pool) (db_pool_connections_max)\n"
                "and sum by (service, process, instance, pool) (rate(db_pool_acquire_failures_total[2m])) > 0",
                "2m",
            ),
        ),
        summary="{{ $labels.instance }}: the pool {{ $labels.pool }} is exhausted",
        description="All {{ $value }} connections of the pool {{ $labels.pool }} of {{ $labels.instance }} have been "
        "in use for two minutes, and requests are refused because they get none.",
    ),
    Alert(
        name="CertificateExpires",
        thresholds=(page(f"{_EXPIRY} < {3 * _DAY_S}"), ticket(f"{_EXPIRY} < {21 * _DAY_S}")),
        summary="{{ $labels.kind }} {{ $labels.name }} of {{ $labels.service }} ends in "
        "{{ $value | humanizeDuration }}",
        description="The {{ $labels.kind }} {{ $labels.name }} that {{ $labels.service }} uses is no longer valid in "
        "{{ $value | humanizeDuration }}: from then on connections or signatures fail.",
    ),
    Alert(
        name="TwoLeaders",
        thresholds=(page(f"sum {_BY_JOB} (maintenance_is_leader) > 1", "30s"),),
        summary=f"{{{{ $labels.service }}}}: {{{{ $value }}}} instances lead the job {{{{ $labels.{JOB} }}}}",
        description=f"{{{{ $value }}}} instances of {{{{ $labels.service }}}} say that they lead "
        f"{{{{ $labels.{JOB} }}}}, which one does for all. Their writes are fenced; that one does not notice is a "
        f"fault.",
    ),
    Alert(
        name="MaintenanceLate",
        thresholds=(
            # Of a job with a leader it is enough that one does it; what each instance does, each has to do.
            ticket(
                f"{_late(_BY_JOB, f'and on (service, {JOB}) maintenance_is_leader')}\n"
                f"or {_late(f'by (service, instance, {JOB})', f'unless on (service, {JOB}) maintenance_is_leader')}"
            ),
        ),
        summary=f"{{{{ $labels.service }}}}: {{{{ $labels.{JOB} }}}} last ran {{{{ $value | humanizeDuration }}}} ago",
        description=f"The job {{{{ $labels.{JOB} }}}} of {{{{ $labels.service }}}} has not ended a run without an "
        "error for {{ $value | humanizeDuration }}, more than three of its intervals.",
    ),
)
