"""A platform at which nothing is wrong: every series that an alert reads, as it goes for eleven minutes."""

from typing import Final

from deploy.observability.tests.scenarios_of_processes import TARGETS

CALM_STEPS: Final = 44
_PROCESS: Final = 'service="wallet",process="wallet-api",instance="wallet-api"'
_ANOTHER: Final = 'service="wallet",process="wallet-api",instance="wallet-api-2"'
_RELAY: Final = 'service="wallet",process="wallet-relay",instance="wallet-relay"'
_PROJECTOR: Final = 'service="transaction-history",process="transaction-history-projector",instance="p"'
_HISTORY: Final = f'{_PROJECTOR},projection="transaction_history"'
_WORKER: Final = 'service="notifications",process="notifications-worker",instance="notifications-worker"'
_FRAUD: Final = 'service="fraud",process="fraud-projector",instance="fraud-projector"'
_PG: Final = 'service="postgres",instance="postgres"'
_KAFKA: Final = 'service="kafka",instance="kafka"'
_DISK: Final = 'service="node",instance="node",device="/dev/sda1",fstype="ext4"'
_YEAR_S: Final = 365 * 86_400

_STANDING: Final[dict[str, float]] = {
    **dict.fromkeys(TARGETS, 1),
    f"process_start_time_seconds{{{_PROCESS}}}": 1,
    f'build_info{{{_PROCESS},version="1.4.0"}}': 1,
    f'build_info{{{_ANOTHER},version="1.4.0"}}': 1,
    f'dependency_up{{{_PROCESS},dependency="database"}}': 1,
    f'dependency_up{{{_PROCESS},dependency="broker"}}': 1,
    f'db_pool_connections_busy{{{_PROCESS},pool="reads"}}': 8,
    f'db_pool_connections_max{{{_PROCESS},pool="reads"}}': 8,
    f'not_after_timestamp_seconds{{{_PROCESS},kind="certificate",name="api"}}': _YEAR_S,
    f'maintenance_is_leader{{{_PROCESS},exported_job="sweep"}}': 1,
    f'maintenance_is_leader{{{_ANOTHER},exported_job="sweep"}}': 0,
    f'maintenance_paused{{{_PROCESS},exported_job="sweep"}}': 0,
    f'maintenance_interval_seconds{{{_PROCESS},exported_job="sweep"}}': 1,
    f'invariant_violations{{{_PROCESS},invariant="I2"}}': 0,
    f"wallet_journal_headroom_sequences{{{_PROCESS}}}": 1_100_000,
    f"wallet_queue_age_seconds{{{_PROCESS}}}": 0.02,
    f"relay_halted{{{_RELAY}}}": 0,
    f"relay_leases_held{{{_RELAY}}}": 64,
    f"relay_lag_seconds{{{_RELAY}}}": 0.05,
    f"relay_shards_stopped{{{_RELAY}}}": 0,
    f"relay_shards_ended_before{{{_RELAY}}}": 0,
    f'consumer_shards_stopped{{{_HISTORY},reason="gap"}}': 0,
    f"consumer_lag_seconds{{{_HISTORY}}}": 0.3,
    f"consumer_parked_subjects{{{_HISTORY}}}": 0,
    f"webhook_deliveries_due_oldest_seconds{{{_WORKER}}}": 0.5,
    f'webhook_endpoints{{{_WORKER},status="disabled"}}': 3,
    'probe_success{service="probe",step="deposit"}': 1,
    f"pg_up{{{_PG}}}": 1,
    f'pg_stat_activity_count{{{_PG},datname="wallet",state="idle"}}': 120,
    f"pg_settings_max_connections{{{_PG}}}": 200,
    f"pg_synchronous_wanted{{{_PG}}}": 0,
    f"pg_standby_synchronous{{{_PG}}}": 0,
    f'pg_slot_kept_bytes{{{_PG},slot="standby_1",active="true"}}': 1e6,
    f"pg_oldest_transaction_seconds{{{_PG}}}": 0.2,
    f'pg_xid_age{{{_PG},datname="wallet"}}': 150e6,
    f'pg_standby_delay_seconds{{{_PG},application_name="replica_1"}}': 0.01,
    f"kafka_controller_offline_partitions{{{_KAFKA}}}": 0,
    f"kafka_controller_active{{{_KAFKA}}}": 1,
    f"kafka_server_underreplicated_partitions{{{_KAFKA}}}": 0,
    f"node_filesystem_avail_bytes{{{_DISK}}}": 4e9,
    f"node_filesystem_size_bytes{{{_DISK}}}": 20e9,
    'gateway_switched_timestamp_seconds{service="node",instance="node"}': 200,
    'gateway_refused_timestamp_seconds{service="node",instance="node"}': 100,
}
_A_COMMAND: Final = f'{_PROCESS},method="POST",route="/v1/deposits"'
_A_READ: Final = f'{_PROCESS},method="GET",route="/v1/wallets/{{wallet_id}}"'
_GROWING: Final[dict[str, float]] = {
    f'http_request_duration_seconds_count{{{_A_COMMAND},status="201"}}': 1_500,
    f'http_request_duration_seconds_bucket{{{_A_COMMAND},status="201",le="0.2"}}': 1_499,
    f'http_request_duration_seconds_count{{{_A_COMMAND},status="409"}}': 30,
    f'http_request_duration_seconds_bucket{{{_A_COMMAND},status="409",le="0.2"}}': 30,
    f'http_request_duration_seconds_count{{{_A_READ},status="200"}}': 3_000,
    f'http_request_duration_seconds_bucket{{{_A_READ},status="200",le="0.2"}}': 2_999,
    f"consumer_visible_seconds_count{{{_HISTORY}}}": 3_000,
    f'consumer_visible_seconds_bucket{{{_HISTORY},le="1.0"}}': 2_999,
    f"webhook_first_attempt_seconds_count{{{_WORKER}}}": 60,
    f'webhook_first_attempt_seconds_bucket{{{_WORKER},le="5.0"}}': 60,
    f'wallet_commands_total{{{_PROCESS},type="deposit",outcome="accepted"}}': 1_500,
    f'wallet_refused_total{{{_PROCESS},reason="queue_full"}}': 1,
    f'event_loop_delay_seconds_bucket{{{_PROCESS},le="0.1"}}': 1_000,
    f'event_loop_delay_seconds_bucket{{{_PROCESS},le="+Inf"}}': 1_000,
    f'db_pool_acquire_failures_total{{{_PROCESS},pool="reads",reason="timeout"}}': 0,
    f'fraud_decision_seconds_bucket{{{_FRAUD},rule="burst",mode="live",le="0.1"}}': 5,
    f'fraud_decision_seconds_bucket{{{_FRAUD},rule="burst",mode="live",le="+Inf"}}': 5,
    f"fraud_rules_reload_failures_total{{{_FRAUD}}}": 0,
    f"webhook_deliveries_exhausted_total{{{_WORKER}}}": 0,
}
_TOLD_OF_NOW: Final = (
    'probe_last_run_timestamp_seconds{service="probe"}',
    f'maintenance_last_success_timestamp_seconds{{{_PROCESS},exported_job="sweep"}}',
    f'invariant_checked_timestamp_seconds{{{_PROCESS},invariant="I2"}}',
)

CALM_SERIES: Final = (
    *((selector, f"{value:.12g}+0x{CALM_STEPS}") for selector, value in _STANDING.items()),
    *((selector, f"0+{by:.12g}x{CALM_STEPS}") for selector, by in _GROWING.items()),
    *((selector, f"0+15x{CALM_STEPS}") for selector in _TOLD_OF_NOW),
)
"""Series by their selectors, with their values in promtool's notation."""
