"""A database per test, cloned from a template that was migrated once."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from engines import databases
from servicekit.access.projection import access_source
from servicekit.migrations import MigrationSource, migrate
from testkit.identities import introduce_clients

# The same in every run, so that runs that share one server do not lock each other out.
PASSWORD = "testkit"  # noqa: S105 - of databases that live as long as one test

COMMAND_TIMEOUT_S = 60.0

Migrate = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server, known by its superuser's address."""

    admin_dsn: str

    def dsn(self, database: str, user: str, password: str) -> str:
        """Return the address of *database* for *user* on this server."""
        address = urlsplit(self.admin_dsn)
        host = address.netloc.rpartition("@")[2]
        return address._replace(netloc=f"{user}:{password}@{host}", path=f"/{database}").geturl()


@dataclass(frozen=True, slots=True)
class Database:
    """One test's database: `dsn_owner` migrates, `dsn_app` is what processes have, `dsn_reader` what APIs read as."""

    name: str
    dsn_owner: str
    dsn_app: str
    dsn_reader: str
    dsn_admin: str


class TemplateDatabase:
    """Makes databases of one service. Keep one per session: the template is migrated at the first use."""

    def __init__(self, server: Server, *, service: str, migrate: Migrate) -> None:
        """Take the server, the service's package name (its roles' prefix) and what migrates, given an owner's DSN."""
        self._server = server
        self._service = service
        self._migrate = migrate
        self._template: str | None = None

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Give a fresh migrated database, dropped afterwards even when sessions are still in it."""
        template = await self._build()
        database = self._named(f"{self._service}_{secrets.token_hex(6)}")
        async with self._admin() as admin:
            await databases.create_database(admin, database.name, self._service, template=template)
        try:
            yield database
        finally:
            async with self._admin() as admin:
                await databases.drop_database(admin, database.name)

    async def drop(self) -> None:
        """Drop the template; only a server that outlives the run needs it."""
        if self._template is not None:
            async with self._admin() as admin:
                await databases.drop_database(admin, self._template)
            self._template = None

    async def _build(self) -> str:
        if self._template is not None:
            return self._template
        template = self._named(f"{self._service}_template_{secrets.token_hex(6)}")
        async with self._admin() as admin:
            passwords = dict.fromkeys(databases.service_roles(self._service), PASSWORD)
            await databases.ensure_service_roles(admin, self._service, passwords)
            await databases.create_database(admin, template.name, self._service)
        await self._migrate(template.dsn_owner)
        self._template = template.name
        return template.name

    def _named(self, name: str) -> Database:
        return Database(
            name=name,
            dsn_owner=self._server.dsn(name, databases.owner_role(self._service), PASSWORD),
            dsn_app=self._server.dsn(name, databases.app_role(self._service), PASSWORD),
            dsn_reader=self._server.dsn(name, databases.reader_role(self._service), PASSWORD),
            dsn_admin=urlsplit(self._server.admin_dsn)._replace(path=f"/{name}").geturl(),
        )

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[asyncpg.Connection]:
        admin = await asyncpg.connect(self._server.admin_dsn, command_timeout=COMMAND_TIMEOUT_S)
        try:
            yield admin
        finally:
            await admin.close()


def migrated_template(server: Server, service: str, sources: Sequence[MigrationSource]) -> TemplateDatabase:
    """Return what makes databases of *service*, migrated from *sources*.

    Where it knows identities from elsewhere, it knows `testkit.identities.CLIENTS_KEY`.
    """
    knows_identities = service != "access" and any(source.name == access_source().name for source in sources)

    async def run(dsn_owner: str) -> None:
        await migrate(
            dsn_owner, sources, app_role=databases.app_role(service), reader_role=databases.reader_role(service)
        )
        if knows_identities:
            await introduce_clients(dsn_owner)

    return TemplateDatabase(server, service=service, migrate=run)
