"""Scenarios of PostgreSQL, Kafka and the machine."""

from typing import Final

from deploy.observability.tests.courses import Counter, Gauge, Phases
from deploy.observability.tests.scenarios import Scenario, of

_PG: Final = 'service="postgres",instance="postgres"'
_OF_PG: Final = {"service": "postgres", "instance": "postgres"}
_KAFKA: Final = 'service="kafka",instance="kafka"'
_DISK: Final = 'service="node",instance="node",device="/dev/sda1",fstype="ext4",mountpoint="/"'
_SHM: Final = 'service="node",instance="node",device="shm",fstype="tmpfs",mountpoint="/dev/shm"'
_GIB: Final = 2.0**30

DATABASE: Final = (
    Scenario(
        alert="DatabaseDown",
        labels=of("page", service="postgres"),
        series={f"pg_up{{{_PG}}}": Gauge(1, 0)},
    ),
    Scenario(
        alert="DatabaseDown",
        labels=of("page", service="wallet"),
        series={
            'dependency_up{service="wallet",instance="wallet-api",dependency="database"}': Gauge(1, 0),
            'dependency_up{service="wallet",instance="wallet-relay",dependency="database"}': Gauge(1, 0),
            'dependency_up{service="wallet",instance="wallet-relay",dependency="broker"}': Gauge(1, 1),
            'dependency_up{service="fraud",instance="fraud-api",dependency="database"}': Gauge(1, 0),
            'dependency_up{service="fraud",instance="fraud-relay",dependency="database"}': Gauge(1, 1),
            f"pg_up{{{_PG}}}": Gauge(1, 1),
        },
    ),
    Scenario(
        # It hangs, and its exporter with it.
        alert="DatabaseDown",
        labels=of("page", service="postgres"),
        series={
            f"pg_up{{{_PG}}}": Gauge(1, None),
            f"up{{{_PG}}}": Gauge(1, 0),
            'dependency_up{service="wallet",instance="a",dependency="database"}': Gauge(1, 0),
        },
        beside=(of("page", service="wallet"),),
    ),
    Scenario(
        alert="DatabaseConnectionsHigh",
        labels=of("page", **_OF_PG),
        series={
            f'pg_stat_activity_count{{{_PG},datname="wallet",state="active"}}': Gauge(20, 90),
            f'pg_stat_activity_count{{{_PG},datname="fraud",state="idle"}}': Gauge(40, 80),
            f"pg_settings_max_connections{{{_PG}}}": Gauge(200, 200),
        },
    ),
    Scenario(
        alert="SynchronousStandbyMissing",
        labels=of("page", **_OF_PG),
        series={f"pg_synchronous_wanted{{{_PG}}}": Gauge(1, 1), f"pg_standby_synchronous{{{_PG}}}": Gauge(1, 0)},
    ),
    Scenario(
        alert="SlotKeepsWal",
        labels=of("page", **_OF_PG, slot="standby_1"),
        series={
            f'pg_slot_kept_bytes{{{_PG},slot="standby_1",active="false"}}': Gauge(_GIB, 5 * _GIB),
            f'pg_slot_kept_bytes{{{_PG},slot="standby_2",active="true"}}': Gauge(_GIB, _GIB),
        },
    ),
    Scenario(
        alert="LongTransaction",
        labels=of("ticket", **_OF_PG),
        series={f"pg_oldest_transaction_seconds{{{_PG}}}": Gauge(0.1, 75)},
    ),
    Scenario(
        alert="XidAge",
        labels=of("ticket", **_OF_PG, datname="wallet"),
        series={
            f'pg_xid_age{{{_PG},datname="wallet"}}': Gauge(190e6, 600e6),
            f'pg_xid_age{{{_PG},datname="fraud"}}': Gauge(190e6, 190e6),
        },
    ),
    Scenario(
        alert="StandbyLag",
        labels=of("ticket", service="postgres", application_name="replica_1"),
        series={f'pg_standby_delay_seconds{{{_PG},application_name="replica_1"}}': Gauge(0.1, 40)},
    ),
)

KAFKA: Final = (
    Scenario(
        alert="KafkaOfflinePartitions",
        labels=of("page", service="kafka"),
        series={f"kafka_controller_offline_partitions{{{_KAFKA}}}": Gauge(0, 4)},
    ),
    Scenario(
        alert="KafkaNoController",
        labels=of("page", service="kafka"),
        series={f"kafka_controller_active{{{_KAFKA}}}": Gauge(1, 0), f"up{{{_KAFKA}}}": Gauge(1, 1)},
    ),
    Scenario(
        # The broker is gone, and with it what it told.
        alert="KafkaNoController",
        labels=of("page", service="kafka"),
        series={f"kafka_controller_active{{{_KAFKA}}}": Gauge(1, None), f"up{{{_KAFKA}}}": Gauge(1, 0)},
    ),
    Scenario(
        alert="KafkaUnderReplicated",
        labels=of("ticket", service="kafka", instance="kafka"),
        series={f"kafka_server_underreplicated_partitions{{{_KAFKA}}}": Gauge(0, 16)},
    ),
)

MACHINE: Final = (
    Scenario(
        # A third of a GiB is written every minute, of 6 GiB that are free; then no more.
        alert="DiskFull",
        labels=of("page", service="node", instance="node", device="/dev/sda1"),
        series={
            f"node_filesystem_avail_bytes{{{_DISK}}}": Counter(0, -_GIB / 3, 6 * _GIB),
            f"node_filesystem_size_bytes{{{_DISK}}}": Gauge(20 * _GIB, 20 * _GIB),
            f"node_filesystem_avail_bytes{{{_SHM}}}": Gauge(0, 0),
            f"node_filesystem_size_bytes{{{_SHM}}}": Gauge(_GIB, _GIB),
        },
        phases=Phases(calm=6, trouble=12, after=70, step_s=60),
    ),
)

GATEWAY: Final = (
    Scenario(
        # It takes the next configuration.
        alert="GatewayReloadRefused",
        labels=of("ticket", service="node", instance="node"),
        series={
            'gateway_refused_timestamp_seconds{service="node",instance="node"}': Gauge(100, 300),
            'gateway_switched_timestamp_seconds{service="node",instance="node"}': Gauge(200, 200),
        },
    ),
)

ENGINES: Final = (*DATABASE, *KAFKA, *MACHINE, *GATEWAY)
