"""Which metrics there are: those of the platform's processes, and of what is scraped besides."""

from functools import cache
from typing import Final

from observability.catalogue import catalogue

_OUTSIDE: Final = """
    up ALERTS probe_success probe_seconds probe_last_run_timestamp_seconds
    pg_up pg_stat_activity_count pg_settings_max_connections pg_stat_database_xact_commit
    pg_stat_database_xact_rollback pg_locks_count pg_slot_kept_bytes pg_xid_age pg_oldest_transaction_seconds
    pg_dead_rows pg_standby_delay_seconds pg_standby_synchronous pg_synchronous_wanted
    pg_wal_bytes_total pg_wal_records_total pg_wal_fpi_total pg_checkpointer_checkpoints_timed_total
    pg_checkpointer_checkpoints_requested_total pg_checkpointer_write_seconds_total
    pg_checkpointer_buffers_written_total
    kafka_server_underreplicated_partitions kafka_controller_offline_partitions kafka_controller_active
    kafka_server_bytes_in_total kafka_server_bytes_out_total kafka_request_p99_seconds kafka_log_size_bytes
    node_filesystem_avail_bytes node_filesystem_size_bytes node_cpu_seconds_total node_memory_MemAvailable_bytes
    gateway_switched_timestamp_seconds gateway_refused_timestamp_seconds
"""
OUTSIDE: Final = frozenset(_OUTSIDE.split())
"""Of Prometheus itself, the probe, and the exporters."""


@cache
def histograms() -> frozenset[str]:
    """Return the names of the histograms, without `_bucket`, `_count` and `_sum`."""
    return frozenset(metric.name for metric in catalogue() if metric.type == "histogram")


@cache
def known() -> frozenset[str]:
    """Return the names of all metrics but the histograms."""
    return frozenset(metric.name for metric in catalogue()) - histograms() | OUTSIDE
