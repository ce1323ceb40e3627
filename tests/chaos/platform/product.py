"""The product's processes as the supervisor knows them: how each is started, what it needs, and who consumes what."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import access.bootstrap
import fraud.bootstrap
import notifications.bootstrap
import transaction_history.bootstrap
import wallet.bootstrap
from contracts.topics import (
    ACCESS_EVENTS,
    FRAUD_DECISIONS,
    HISTORY_EVENTS,
    WALLET_EVENTS,
    WALLET_WATERMARKS,
    Topic,
)
from local_stack.services import CENTURY_S, EXAMPLE_RATES
from servicekit.migrations import MigrationSource

RULES = Path(__file__).with_name("rules.yaml")
ATTEMPT_TIMEOUT_S = 5
WEBHOOK_LEASE_S = 10
JOB_LEASE_S = 2


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `python -m service kind`, with the setting of its port."""

    service: str
    kind: str
    port: str


PROCESSES: Mapping[str, Process] = {
    "api-1": Process("wallet", "api", "WALLET_API_PORT"),
    "api-2": Process("wallet", "api", "WALLET_API_PORT"),
    "api-3": Process("wallet", "api", "WALLET_API_PORT"),
    "api-4": Process("wallet", "api", "WALLET_API_PORT"),
    "relay": Process("wallet", "relay", "WALLET_RELAY_PORT"),
    "relay-2": Process("wallet", "relay", "WALLET_RELAY_PORT"),
    "decisions": Process("wallet", "decisions", "WALLET_DECISIONS_PORT"),
    "maintenance": Process("wallet", "maintenance", "WALLET_MAINTENANCE_PORT"),
    "maintenance-2": Process("wallet", "maintenance", "WALLET_MAINTENANCE_PORT"),
    "projector": Process("transaction_history", "projector", "TRANSACTION_HISTORY_PROJECTOR_PORT"),
    "projector-2": Process("transaction_history", "projector", "TRANSACTION_HISTORY_PROJECTOR_PORT"),
    "indexer": Process("transaction_history", "indexer", "TRANSACTION_HISTORY_INDEXER_PORT"),
    "history": Process("transaction_history", "api", "TRANSACTION_HISTORY_API_PORT"),
    "history-worker-1": Process("transaction_history", "worker", "TRANSACTION_HISTORY_WORKER_PORT"),
    "history-worker-2": Process("transaction_history", "worker", "TRANSACTION_HISTORY_WORKER_PORT"),
    "webhooks-api": Process("notifications", "api", "NOTIFICATIONS_API_PORT"),
    "webhooks-projector": Process("notifications", "projector", "NOTIFICATIONS_PROJECTOR_PORT"),
    "worker-1": Process("notifications", "worker", "NOTIFICATIONS_WORKER_PORT"),
    "worker-2": Process("notifications", "worker", "NOTIFICATIONS_WORKER_PORT"),
    "fraud-projector": Process("fraud", "projector", "FRAUD_PROJECTOR_PORT"),
    "fraud-relay": Process("fraud", "relay", "FRAUD_RELAY_PORT"),
    "access-api": Process("access", "api", "ACCESS_API_PORT"),
    "access-relay": Process("access", "relay", "ACCESS_RELAY_PORT"),
    "access-worker": Process("access", "worker", "ACCESS_WORKER_PORT"),
}
CORE = ("api-1", "api-2", "maintenance", "relay", "projector", "history")
"""What every run has; the rest is started for the faults that need it."""
APIS = ("api-1", "api-2")
"""Where the bank asks."""
MORE_APIS = ("api-3", "api-4")
INDEXER = frozenset({"indexer"})
HISTORY_WORKERS = frozenset({"history-worker-1", "history-worker-2"})
"""They make files of jobs and close statements."""
WEBHOOKS = frozenset({"webhooks-api", "webhooks-projector"})
WORKERS = frozenset({"worker-1", "worker-2"})
FRAUD = frozenset({"fraud-projector", "fraud-relay", "decisions"})
ACCESS = frozenset({"access-api", "access-relay"}) | FRAUD
"""Identities, and what tells the wallet of them: `decisions`, which also reads what fraud decides."""
IDENTITIES = frozenset({"access-api", "access-relay", "access-worker"})
"""All processes of access."""

SOURCES: Mapping[str, Callable[[], list[MigrationSource]]] = {
    "wallet": wallet.bootstrap.migration_sources,
    "transaction_history": transaction_history.bootstrap.migration_sources,
    "notifications": notifications.bootstrap.migration_sources,
    "fraud": fraud.bootstrap.migration_sources,
    "access": access.bootstrap.migration_sources,
}
SETTINGS: Mapping[str, str] = {
    "FRAUD_RULES_FILE": str(RULES),
    "NOTIFICATIONS_ALLOW_LOOPBACK": "true",
    "NOTIFICATIONS_ATTEMPT_TIMEOUT_S": str(ATTEMPT_TIMEOUT_S),
    "NOTIFICATIONS_LEASE_S": str(WEBHOOK_LEASE_S),
    "TRANSACTION_HISTORY_JOB_LEASE_S": str(JOB_LEASE_S),
    "NOTIFICATIONS_RETRY_DELAYS_S": "[1, 2, 4, 8, 8, 8, 8, 8, 8]",
    "WALLET_RATES_URL": EXAMPLE_RATES.as_uri(),
    "WALLET_RATES_AGE_MAX_S": CENTURY_S,
    "WALLET_RATES_EVERY_S": "1",
}
"""Leases short enough to run out while a fault lasts, and rates to convert by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A process that feeds a projection.

    *group* names the consumer group and the checkpoints, *commands* what operators repair it by; *heads* is the service
    and the table whose sequences it is to reach; *tables* are its state. A *rebuildable* one makes the same state in a
    fresh database; another one is to keep its state when its checkpoints are lost.
    """

    process: str
    service: str
    group: str
    topic: str
    heads: tuple[str, str]
    tables: Sequence[str]
    rebuildable: bool = False
    commands: str = "projections"


JOURNAL = ("wallet", "wallet.journal")
OUTBOX = ("fraud", "servicekit.outbox")
HISTORY = Consumer(
    process="projector",
    service="transaction_history",
    group="transaction_history",
    topic=WALLET_EVENTS.name,
    heads=JOURNAL,
    tables=tuple(
        f"transaction_history.{table}"
        for table in ("wallet", "entry", "system_entry", "state_change", "transaction", "hold", "balance_day")
    ),
    rebuildable=True,
)
INDEX = Consumer(
    process="indexer",
    service="transaction_history",
    group="history_index",
    topic=WALLET_EVENTS.name,
    heads=JOURNAL,
    tables=tuple(
        f"history_index.{table}"
        for table in ("search_entry", "wallet_hour", "counterparty", "day_total", "minute_total", "shard_total")
    ),
    rebuildable=True,
    commands="index",
)
PROJECTIONS = (HISTORY, INDEX)
"""Of the history: what clients wait for, and what may come later."""
_CONSUMERS = (
    HISTORY,
    INDEX,
    Consumer(
        process="webhooks-projector",
        service="notifications",
        group="notifications",
        topic=WALLET_EVENTS.name,
        heads=JOURNAL,
        tables=("notifications.message", "notifications.delivery", "notifications.wallet_version"),
    ),
    Consumer(
        process="fraud-projector",
        service="fraud",
        group="fraud",
        topic=WALLET_EVENTS.name,
        heads=JOURNAL,
        tables=("fraud.profile", "fraud.decision", "servicekit.outbox"),
        rebuildable=True,
    ),
    Consumer(
        process="decisions",
        service="wallet",
        group="wallet_decisions",
        topic=FRAUD_DECISIONS.name,
        heads=OUTBOX,
        tables=("wallet.settled_decision", "wallet.wallet", "wallet.journal"),
    ),
)


def consumers_of(processes: Collection[str]) -> list[Consumer]:
    """Return the consumers among *processes*."""
    return [consumer for consumer in _CONSUMERS if consumer.process in processes]


def topics_of(processes: Collection[str]) -> list[Topic]:
    """Return the topics that *processes* read or write."""
    also = {FRAUD_DECISIONS: FRAUD, HISTORY_EVENTS: HISTORY_WORKERS}
    return [
        WALLET_EVENTS,
        WALLET_WATERMARKS,
        ACCESS_EVENTS,
        *(topic for topic, ones in also.items() if ones & set(processes)),
    ]


def services_of(processes: Collection[str]) -> list[str]:
    """Return whose databases *processes* need."""
    return list(dict.fromkeys(PROCESSES[name].service for name in processes))
