"""Recording rules that dashboards alone read: quotients, ages, and what is 0 as long as nothing fails.

A counter whose label is an error has no series before the first: each gets a 0 from what is there all the time.
"""

from typing import Final

from observability.declaring import JOB, Recording, RuleGroup

_WALLET_STREAM: Final = 'projection=~"transaction_history|history_index|fraud|notifications"'
_CHECKPOINTS: Final = f"consumer_checkpoint{{{_WALLET_STREAM}}}"
_DISKS: Final = 'fstype!~"tmpfs|ramfs|squashfs|iso9660"'


def _or_zero(record: str, growth: str, *, by: str, label: str, always: str) -> Recording:
    """Return the *growth* of a counter by *by* and *label*; 0 by *by* where the gauge *always* is and nothing grew."""
    grouped = f"{by}, {label}" if by else label
    return Recording(record=record, expr=f"sum by ({grouped}) ({growth}) or on ({by}) 0 * max by ({by}) ({always})")


def _age(record: str, by: str, instant: str, *, oldest: bool = False) -> Recording:
    """Return how long ago the newest of *instant* is, or the oldest; 0 stands for never."""
    aggregation = "min" if oldest else "max"
    return Recording(record=record, expr=f"time() - {aggregation} by ({by}) ({instant} > 0)")


_FAILURES: Final = (
    _or_zero("code:http_problems:rate5m", "rate(http_problems_total[5m])", by="", label="code", always="up"),
    _or_zero(
        "error:relay_publish_failures:rate5m",
        "rate(relay_publish_failures_total[5m])",
        by="service",
        label="error",
        always="relay_lag_rows",
    ),
    _or_zero(
        "error:relay_watermark_failures:rate5m",
        "rate(relay_watermark_failures_total[5m])",
        by="service",
        label="error",
        always="relay_lag_rows",
    ),
    _or_zero(
        "error:consumer_poll_failures:rate5m",
        "rate(consumer_poll_failures_total[5m])",
        by="service, projection",
        label="error",
        always="consumer_lag_records",
    ),
    _or_zero(
        "error:webhook_worker_failures:rate5m",
        "rate(webhook_worker_failures_total[5m])",
        by="service",
        label="error",
        always="webhook_attempts_in_flight",
    ),
    _or_zero(
        "projection:history_drift_differences:increase1h",
        "increase(history_drift_differences_total[1h])",
        by="projection",
        label="table",
        always="history_drift_events_total",
    ),
)

_AGES: Final = (
    _age("service:wallet_rates_age_seconds:max", "service", "wallet_rates_as_of_timestamp_seconds", oldest=True),
    _age("service:relay_acknowledged_age_seconds:min", "service", "relay_last_acknowledged_timestamp_seconds"),
    _age("projection:applied_age_seconds:min", "service, projection", "consumer_last_applied_timestamp_seconds"),
    _age(
        "projection:complete_age_seconds:max",
        "service, projection",
        "consumer_complete_until_timestamp_seconds",
        oldest=True,
    ),
    _age("invariant:checked_age_seconds:min", "service, invariant", "invariant_checked_timestamp_seconds"),
    _age("job:success_age_seconds:min", f"service, {JOB}", "maintenance_last_success_timestamp_seconds"),
    _age("projection:drift_round_age_seconds:min", "projection", "history_drift_round_ended_timestamp_seconds"),
    _age("service:probe_age_seconds:min", "service", "probe_last_run_timestamp_seconds"),
    _age("service:process_age_seconds:min", "service", "process_start_time_seconds"),
    _age("instance:process_age_seconds:min", "instance", "process_start_time_seconds"),
)

DASHBOARDS: Final = RuleGroup(
    name="dashboards",
    rules=(
        *_FAILURES,
        *_AGES,
        Recording(
            record="status:ledger_wallets:sum",
            expr="sum by (status) (max by (currency, status) (ledger_wallets))",
        ),
        Recording(
            # The foremost projection of a shard stands for its head: what none has applied, none can be behind by.
            record="shard:checkpoint_behind:max",
            expr=f"max by (shard) ({_CHECKPOINTS})"
            f" - min by (shard) (max by (service, projection, shard) ({_CHECKPOINTS}))",
        ),
        Recording(
            record="instance:pg_connections:ratio",
            expr="sum by (instance) (pg_stat_activity_count) / max by (instance) (pg_settings_max_connections)",
        ),
        Recording(
            record="instance:process_fds:ratio", expr="max by (instance) (process_open_fds / (process_max_fds > 0))"
        ),
        Recording(
            record="device:node_filesystem_free:ratio",
            expr=f"min by (instance, device) (node_filesystem_avail_bytes{{{_DISKS}}}"
            f" / (node_filesystem_size_bytes{{{_DISKS}}} > 0))",
        ),
        Recording(
            record="instance:gateway_switch_age_seconds:min",
            expr="time() - max by (instance) (gateway_switched_timestamp_seconds)",
        ),
        Recording(
            record="certificate:remaining_seconds:min",
            expr="min by (service, kind, name) (not_after_timestamp_seconds) - time()",
        ),
    ),
)
