"""What services have in common: how each kind of process is joined and run, and the commands every service has."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from servicekit.consumer.settings import ConsumerSettings
from servicekit.migrations import MigrationSource
from servicekit.postgres import BY_INDEX, PoolSettings
from servicekit.relay.settings import RelaySettings

CONSUMER_POOL_SIZE: Final = 4
RELAY_POOL_SIZE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as its processes name it: *name* is the Python package, *version* the build's.

    *journals* are its tables, `schema.table`, that only grow: no process may update or delete in them.
    """

    name: str
    version: str
    journals: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its name where underscores are unusual: application names, client ids."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Port:
    """Where a process listens, and the setting that moves it."""

    number: int
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProcess:
    """How an API is run: *pool* is its database's."""

    port: Port
    pool: PoolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerProcess:
    """How a process that feeds a projection is run: *pool* is its database's, *consumer* reads the topic."""

    name: str
    port: Port
    pool: PoolSettings
    consumer: ConsumerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProcess:
    """How a process that publishes a journal is run: *pool* is its database's."""

    port: Port
    pool: PoolSettings
    relay: RelaySettings


def consumer_pool_settings(dsn: str, *, application_name: str) -> PoolSettings:
    """Return how a consumer process reaches its database: for each of two one connection applies, another looks."""
    return PoolSettings(dsn=dsn, application_name=application_name, max_size=CONSUMER_POOL_SIZE)


def relay_pool_settings(dsn: str, *, application_name: str) -> PoolSettings:
    """Return how a relay reaches its database: it finds its rows through the primary key."""
    return PoolSettings(dsn=dsn, application_name=application_name, max_size=RELAY_POOL_SIZE, session=BY_INDEX)


def own_migrations(package: str, module_file: str) -> MigrationSource:
    """Return the migrations and functions of *package*: beside its sources in a checkout, inside it once installed.

    *module_file* is the `__file__` of a module directly in the package.
    """
    beside_sources = Path(module_file).parents[2]
    root = beside_sources if (beside_sources / "migrations").is_dir() else resources.files(package)
    return MigrationSource(package, root / "migrations", root / "sql" / "functions")
