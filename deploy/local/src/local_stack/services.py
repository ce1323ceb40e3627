"""What the platform consists of, declared: one entry per service and per kind of process. To add one, add its entry."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.databases import DASHBOARDS

EXAMPLE_RATES: Final = Path(__file__).with_name("rates.json")
"""Exchange rates to try things with."""
CENTURY_S: Final = str(100 * 365 * 86_400)
"""Examples do not grow old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessType:
    """One kind of process: how it is run, the variable that moves its port, and what must be ready before it."""

    name: str
    argv: tuple[str, ...]
    port_variable: str
    port: int
    after: tuple[str, ...] = ()
    instances_variable: str | None = None
    is_api: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: its database, what migrates that, and its processes. `name` is the Python package.

    `own_links` are variables that hold an address below the service's own API, with the path there; `defaults` are
    variables with what they are here unless they are set, `observed_defaults` such for when the probe runs beside it,
    `folders` such that hold a folder of the stack's data.
    `outsiders` are roles besides its own that enter its database, to read what its migrations let them.
    `replicas_variable` is the one with the addresses at which the API reads replicas of the database.
    """

    name: str
    migrate: tuple[str, ...]
    processes: tuple[ProcessType, ...]
    own_links: tuple[tuple[str, str], ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    observed_defaults: tuple[tuple[str, str], ...] = ()
    folders: tuple[tuple[str, str], ...] = ()
    outsiders: tuple[str, ...] = ()
    replicas_variable: str | None = None
    probe: str | None = None
    """A list of its API that a service key may read: how one finds out that the key is known."""

    @property
    def slug(self) -> str:
        """Its name where underscores are unusual: labels, names of processes."""
        return self.name.replace("_", "-")

    @property
    def url_variable(self) -> str:
        """The variable with the address that the service's processes use."""
        return f"{self.name.upper()}_DATABASE_URL"

    @property
    def reader_url_variable(self) -> str:
        """The variable with the address that the service's API reads at."""
        return f"{self.name.upper()}_READER_DATABASE_URL"

    @property
    def owner_url_variable(self) -> str:
        """The variable with the address that migrations use."""
        return f"{self.name.upper()}_OWNER_DATABASE_URL"


def module(package: str, *arguments: str) -> tuple[str, ...]:
    """Return the command `python -m package arguments` of this very Python."""
    return (sys.executable, "-m", package, *arguments)


# Stopping goes against the arrows of `after`: the APIs first, then what publishes and what projects.
WALLET = Service(
    name="wallet",
    migrate=module("wallet", "migrate"),
    probe="/v1/wallets?limit=1",
    own_links=(("WALLET_SCHEMA_URL", "/schemas/"),),
    defaults=(("WALLET_RATES_URL", EXAMPLE_RATES.as_uri()), ("WALLET_RATES_AGE_MAX_S", CENTURY_S)),
    processes=(
        ProcessType(
            name="wallet-relay",
            argv=module("wallet", "relay"),
            port_variable="WALLET_RELAY_PORT",
            port=8102,
        ),
        ProcessType(
            name="wallet-decisions",
            argv=module("wallet", "decisions"),
            port_variable="WALLET_DECISIONS_PORT",
            port=8103,
            after=("wallet-relay",),
        ),
        ProcessType(
            name="wallet-maintenance",
            argv=module("wallet", "maintenance"),
            port_variable="WALLET_MAINTENANCE_PORT",
            port=8105,
            instances_variable="WALLET_MAINTENANCE_INSTANCES",
        ),
        ProcessType(
            name="wallet-api",
            argv=module("wallet", "api"),
            port_variable="WALLET_API_PORT",
            port=8101,
            after=("wallet-relay", "wallet-maintenance"),
            instances_variable="WALLET_API_INSTANCES",
            is_api=True,
        ),
    ),
)
TRANSACTION_HISTORY = Service(
    name="transaction_history",
    migrate=module("transaction_history", "migrate"),
    probe="/v1/history/owners/nobody/entries?limit=1",
    own_links=(("TRANSACTION_HISTORY_SCHEMA_URL", "/schemas/"),),
    folders=(("TRANSACTION_HISTORY_OBJECTS_URL", "history-objects"),),
    outsiders=(DASHBOARDS,),
    replicas_variable="TRANSACTION_HISTORY_REPLICA_URLS",
    processes=(
        ProcessType(
            name="transaction-history-projector",
            argv=module("transaction_history", "projector"),
            port_variable="TRANSACTION_HISTORY_PROJECTOR_PORT",
            port=8112,
        ),
        ProcessType(
            name="transaction-history-indexer",
            argv=module("transaction_history", "indexer"),
            port_variable="TRANSACTION_HISTORY_INDEXER_PORT",
            port=8113,
        ),
        ProcessType(
            name="transaction-history-worker",
            argv=module("transaction_history", "worker"),
            port_variable="TRANSACTION_HISTORY_WORKER_PORT",
            port=8114,
            instances_variable="TRANSACTION_HISTORY_WORKER_INSTANCES",
        ),
        ProcessType(
            name="transaction-history-api",
            argv=module("transaction_history", "api"),
            port_variable="TRANSACTION_HISTORY_API_PORT",
            port=8111,
            after=("transaction-history-projector", "transaction-history-indexer", "transaction-history-worker"),
            instances_variable="TRANSACTION_HISTORY_API_INSTANCES",
            is_api=True,
        ),
    ),
)
FRAUD = Service(
    name="fraud",
    migrate=module("fraud", "migrate"),
    probe="/v1/risk/decisions?limit=1",
    own_links=(("FRAUD_SCHEMA_URL", "/schemas/"),),
    processes=(
        ProcessType(
            name="fraud-relay",
            argv=module("fraud", "relay"),
            port_variable="FRAUD_RELAY_PORT",
            port=8133,
        ),
        ProcessType(
            name="fraud-projector",
            argv=module("fraud", "projector"),
            port_variable="FRAUD_PROJECTOR_PORT",
            port=8132,
        ),
        ProcessType(
            name="fraud-api",
            argv=module("fraud", "api"),
            port_variable="FRAUD_API_PORT",
            port=8131,
            after=("fraud-projector", "fraud-relay"),
            instances_variable="FRAUD_API_INSTANCES",
            is_api=True,
        ),
    ),
)
NOTIFICATIONS = Service(
    name="notifications",
    migrate=module("notifications", "migrate"),
    probe="/v1/webhook-endpoints?limit=1",
    own_links=(("NOTIFICATIONS_SCHEMA_URL", "/schemas/"),),
    observed_defaults=(("NOTIFICATIONS_ALLOW_LOOPBACK", "true"),),
    processes=(
        ProcessType(
            name="notifications-relay",
            argv=module("notifications", "relay"),
            port_variable="NOTIFICATIONS_RELAY_PORT",
            port=8124,
        ),
        ProcessType(
            name="notifications-worker",
            argv=module("notifications", "worker"),
            port_variable="NOTIFICATIONS_WORKER_PORT",
            port=8123,
            after=("notifications-relay",),
            instances_variable="NOTIFICATIONS_WORKER_INSTANCES",
        ),
        ProcessType(
            name="notifications-projector",
            argv=module("notifications", "projector"),
            port_variable="NOTIFICATIONS_PROJECTOR_PORT",
            port=8122,
        ),
        ProcessType(
            name="notifications-api",
            argv=module("notifications", "api"),
            port_variable="NOTIFICATIONS_API_PORT",
            port=8121,
            after=("notifications-projector", "notifications-worker"),
            instances_variable="NOTIFICATIONS_API_INSTANCES",
            is_api=True,
        ),
    ),
)
ACCESS = Service(
    name="access",
    migrate=module("access", "migrate"),
    probe="/v1/whoami",
    own_links=(("ACCESS_SCHEMA_URL", "/schemas/"),),
    processes=(
        ProcessType(
            name="access-relay",
            argv=module("access", "relay"),
            port_variable="ACCESS_RELAY_PORT",
            port=8142,
        ),
        ProcessType(
            name="access-worker",
            argv=module("access", "worker"),
            port_variable="ACCESS_WORKER_PORT",
            port=8143,
            after=("access-relay",),
            instances_variable="ACCESS_WORKER_INSTANCES",
        ),
        ProcessType(
            name="access-api",
            argv=module("access", "api"),
            port_variable="ACCESS_API_PORT",
            port=8141,
            after=("access-relay",),
            instances_variable="ACCESS_API_INSTANCES",
            is_api=True,
        ),
    ),
)
SERVICES = (ACCESS, WALLET, TRANSACTION_HISTORY, FRAUD, NOTIFICATIONS)
