"""Alerts on what the services stand on: PostgreSQL, Kafka, and the machine."""

from typing import Final

from observability.declaring import Alert, page, ticket

_DISKS: Final = 'fstype!~"tmpfs|ramfs|squashfs|iso9660"'
_CATCHING_UP: Final = "1m"
"""How long what stood still may be behind after its cause is over, until somebody is told of that."""
_BY_DISK: Final = "min by (service, instance, device)"

DATABASE: Final = (
    Alert(
        name="DatabaseDown",
        thresholds=(
            page(
                # A server that hangs keeps its exporter from answering, too.
                "max by (service) (pg_up) == 0\n"
                'or (max by (service) (up{service="postgres"}) == 0'
                ' and on () max(dependency_up{dependency="database"}) == 0)\n'
                'or max by (service) (dependency_up{dependency="database"}) == 0',
                "15s",
                keep_for=_CATCHING_UP,
            ),
        ),
        summary="The database of {{ $labels.service }} does not answer",
        description="No process reaches the database of {{ $labels.service }} (`postgres`: the exporter does not reach "
        "the server): nothing of it is answered or committed.",
    ),
    Alert(
        name="DatabaseConnectionsHigh",
        thresholds=(
            page(
                "sum by (service, instance) (pg_stat_activity_count)"
                " / max by (service, instance) (pg_settings_max_connections) > 0.8",
                "1m",
            ),
        ),
        summary="{{ $value | humanizePercentage }} of the database's connections are in use",
        description="Of max_connections of {{ $labels.instance }}, {{ $value | humanizePercentage }} are in use: when "
        "none is left, processes that start or reconnect fail.",
    ),
    Alert(
        name="SynchronousStandbyMissing",
        thresholds=(
            page(
                "max by (service, instance) (pg_synchronous_wanted) == 1"
                " unless max by (service, instance) (pg_standby_synchronous) > 0",
                "30s",
            ),
        ),
        summary="No synchronous standby follows {{ $labels.instance }}",
        description="synchronous_standby_names is set at {{ $labels.instance }}, and no standby confirms: commits "
        "wait, and commands end as outcome_unknown.",
    ),
    Alert(
        name="SlotKeepsWal",
        thresholds=(page("max by (service, instance, slot) (pg_slot_kept_bytes) > 4 * 1024 ^ 3", "1m"),),
        summary="The slot {{ $labels.slot }} keeps {{ $value | humanize1024 }}B of WAL",
        description="For the replication slot {{ $labels.slot }}, {{ $labels.instance }} keeps "
        "{{ $value | humanize1024 }}B that nobody fetches; the disk fills until the slot moves or is dropped.",
    ),
    Alert(
        name="LongTransaction",
        thresholds=(ticket("max by (service, instance) (pg_oldest_transaction_seconds) > 60"),),
        summary="A transaction has been open for {{ $value | humanizeDuration }}",
        description="A transaction at {{ $labels.instance }} has been open for {{ $value | humanizeDuration }}: rows "
        "that died since are not vacuumed, and migrations wait behind it.",
    ),
    Alert(
        name="XidAge",
        thresholds=(ticket("max by (service, instance, datname) (pg_xid_age) > 500e6"),),
        summary="{{ $labels.datname }} has rows {{ $value | humanize }} transactions old that are not frozen",
        description="The oldest row of {{ $labels.datname }} that is not frozen is {{ $value | humanize }} "
        "transactions old, and autovacuum should have frozen it at 200 million; at 2 billion the server refuses to "
        "write.",
    ),
    Alert(
        name="StandbyLag",
        thresholds=(ticket("max by (service, application_name) (pg_standby_delay_seconds) > 30", "1m"),),
        summary="The standby {{ $labels.application_name }} is {{ $value | humanizeDuration }} behind",
        description="What is committed is seen at the standby {{ $labels.application_name }} "
        "{{ $value | humanizeDuration }} later; reads do not go there meanwhile.",
    ),
)

KAFKA: Final = (
    Alert(
        name="KafkaOfflinePartitions",
        thresholds=(page("max by (service) (kafka_controller_offline_partitions) > 0", "15s", keep_for=_CATCHING_UP),),
        summary="{{ $value }} partitions have no leader",
        description="{{ $value }} partitions of Kafka have no leader: nothing is written to them or read from them.",
    ),
    Alert(
        name="KafkaNoController",
        thresholds=(
            page(
                "(sum by (service) (kafka_controller_active)"
                ' or 0 * count by (service) (up{service="kafka"} == 0)) != 1',
                "30s",
                keep_for=_CATCHING_UP,
            ),
        ),
        summary="Kafka has {{ $value }} active controllers",
        description="{{ $value }} brokers say that they are the active controller, where exactly one should: no leader "
        "is elected and no topic changes. 0 may also mean that no broker answers.",
    ),
    Alert(
        name="KafkaUnderReplicated",
        thresholds=(ticket("sum by (service, instance) (kafka_server_underreplicated_partitions) > 0", "5m"),),
        summary="{{ $value }} partitions led by {{ $labels.instance }} lack a replica",
        description="For five minutes {{ $value }} partitions led by {{ $labels.instance }} have had fewer replicas in "
        "sync than they should: one more failure may stop or lose them.",
    ),
)

MACHINE: Final = (
    Alert(
        name="DiskFull",
        thresholds=(
            page(
                f"({_BY_DISK} (predict_linear(node_filesystem_avail_bytes{{{_DISKS}}}[1h], 4 * 3600)) < 0\n"
                f"and {_BY_DISK} (node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes) < 0.4)\n"
                f"or {_BY_DISK} (node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes) < 0.03",
                "5m",
            ),
        ),
        summary="{{ $labels.device }} of {{ $labels.instance }} is full within four hours",
        description="At the pace of the last hour {{ $labels.device }} of {{ $labels.instance }} has no room left "
        "within four hours, or less than 3 % is left already: the database and the broker stop where they cannot "
        "write.",
    ),
)

GATEWAY: Final = (
    Alert(
        name="GatewayReloadRefused",
        thresholds=(
            ticket(
                "max by (service, instance) (gateway_refused_timestamp_seconds)"
                " > max by (service, instance) (gateway_switched_timestamp_seconds)"
            ),
        ),
        summary="The gateway did not take its last configuration",
        description="The gateway refused the configuration that it was given last, and goes on with the one before: "
        "whoever wanted clients led elsewhere, to another release say, has not got it.",
    ),
)

ALERTS: Final = (*DATABASE, *KAFKA, *MACHINE, *GATEWAY)
