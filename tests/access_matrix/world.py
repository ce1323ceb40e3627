"""A service with its own authority on a database of its own, with identities and two tenants' things in it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import asyncpg
import httpx2
from tests.access_matrix import of_access, of_notifications, of_readers, of_wallet
from tests.access_matrix.callers import (
    CALLERS,
    FORGED_ADDRESS,
    OURS,
    OWNER,
    REVOKED_KEY,
    SUSPENDED,
    THEIRS,
    Caller,
    Holds,
    Home,
)
from tests.access_matrix.credentials import Credentials
from tests.access_matrix.operations import Operation, guarded_operations
from tests.access_matrix.recipes import Ask, Recipes, Setup
from tests.openapi.services import TARGETS

from contracts.ids import new_id_text
from contracts.scopes import SCOPES, Kind, Scope
from testkit.databases import Database, Server
from testkit.identities import introduce

RECIPES: Final[Mapping[str, Callable[[Setup, Database], Recipes]]] = {
    "wallet": lambda setup, _database: of_wallet.recipes(setup),
    "transaction-history": of_readers.history_recipes,
    "fraud": of_readers.fraud_recipes,
    "notifications": of_notifications.recipes,
    "access": of_access.recipes,
}
UNTOUCHED: Final = """
    select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_|^information_schema$'
      and not (n.nspname = 'servicekit' and c.relname = any ($1)) and not (c.relname = any ($2))"""
BOOKKEEPING: Final = (
    *("access_entity", "projection_lag", "checkpoint", "rate_bucket", "rate_instance", "lease", "maintenance_job"),
    *("relay_instance", "relay_lease", "relay_halt"),
)
"""Tables of servicekit that say who is known, what limits are left, and who is at work."""
NOT_COMPARED: Final = (
    *("idempotency", "system_account_fold", "system_account_total"),
    *("verified", "verification_round"),
)
"""Keys of refused commands are free or hold the refusal; totals are folded, and the ledger is verified, behind the
scenes."""
_ADMIN: Final = {
    tenant_id: Caller(name=f"admin of {tenant_id}", kind=Kind.OPERATOR, holds=Holds.ALL, tenant_id=tenant_id)
    for tenant_id in (OURS, THEIRS)
}
NOW: Final = "0-0"
"""A position that is reached: who sends it has changes looked for before it is admitted."""
TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class World:
    """A running service. Requests are sent through a proxy of ours, each from an address of its own."""

    service: str
    http: httpx2.Client
    database: Database
    credentials: Credentials
    runner: asyncio.Runner
    connection: asyncpg.Connection
    addresses: Iterator[int]
    admins: Mapping[object, httpx2.Client]

    def admin(self, home: Home) -> httpx2.Client:
        """Return a client of the tenant's own operator with every scope."""
        return self.admins[home.tenant_id]

    def send(self, ask: Ask, caller: Caller, needed: frozenset[Scope], *, key: str | None = None) -> httpx2.Response:
        """Send *ask* as *caller*, whose credential is known by now, under *key* or an idempotency key of its own."""
        headers = self.credentials.headers(caller, needed)
        self._tell()
        number = next(self.addresses)
        address = f"198.18.{number >> 8 & 255}.{number & 255}"
        # What stands left of the address that the proxy saw was written by the client.
        headers["X-Forwarded-For"] = f"10.9.0.1, {address}" if caller is FORGED_ADDRESS else address
        headers["Idempotency-Key"] = key or new_id_text()
        return self.http.request(ask.method, ask.path, json=ask.json, params=dict(ask.params), headers=headers)

    def digests(self) -> Mapping[str, str]:
        """Return a digest of every table's rows, by table, but for bookkeeping."""
        rows = self.runner.run(self.connection.fetch(self._digests_query()))
        return {row["name"]: row["digest"] for row in rows}

    def revoke_in_use(self) -> None:
        """Have the key of `REVOKED_KEY` used, and then revoked: whoever goes on trusting it has not looked."""
        operation = _readable(self.service)
        every = frozenset(scope for scope in SCOPES if Kind.SERVICE in scope.kinds)
        key = self.credentials.replace_key(REVOKED_KEY, every)
        ask = Ask(method=operation.method, path=operation.path)
        self._tell()
        used = self._send_and_look(ask)
        assert used.status_code != 401, used.text
        self.credentials.events.extend(key.events(is_revoked=True))
        self._tell()
        self._send_and_look(ask)

    def _send_and_look(self, ask: Ask) -> httpx2.Response:
        every = frozenset(scope for scope in SCOPES if Kind.SERVICE in scope.kinds)
        headers = {**self.credentials.headers(REVOKED_KEY, every), "Min-Access-Position": NOW}
        return self.http.request(ask.method, ask.path, headers=headers)

    def _tell(self) -> None:
        events = self.credentials.untold()
        if events:
            self.runner.run(introduce(self.database.dsn_app, *events, service=self.service))

    def _digests_query(self) -> str:
        if self.service not in _QUERIES:
            found = self.runner.run(self.connection.fetch(UNTOUCHED, list(BOOKKEEPING), list(NOT_COMPARED)))
            each = "select '{0}' as name, md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) as digest"
            _QUERIES[self.service] = " union all ".join(f"{each} from {{0}} t".format(name) for (name,) in found)
        return _QUERIES[self.service]


_QUERIES: Final[dict[str, str]] = {}


@contextmanager
def opened(service: str, server: Server) -> Iterator[World]:
    """Open *service* on a database of its own, with every caller's credential known there."""
    (target,) = (each for each in TARGETS if each.service.slug == service)
    credentials = Credentials()
    clients = {tenant_id: credentials.headers(admin, SCOPES) for tenant_id, admin in _ADMIN.items()}
    for operation in guarded_operations(service):
        for caller in CALLERS:
            credentials.headers(caller, () if operation.scope is None else (operation.scope,))

    async def prepare(database: Database) -> None:
        if service == "access":
            await of_access.make_tenants(database, *(Home(each, OWNER) for each in (OURS, THEIRS, SUSPENDED)))
        await introduce(database.dsn_app, *credentials.untold(), service=service)

    with (
        target.running(server, prepare=prepare) as (url, database),
        httpx2.Client(base_url=url, timeout=TIMEOUT_S) as http,
        httpx2.Client(base_url=url, headers=clients[OURS], timeout=TIMEOUT_S) as ours,
        httpx2.Client(base_url=url, headers=clients[THEIRS], timeout=TIMEOUT_S) as theirs,
        asyncio.Runner() as runner,
    ):
        connection = runner.run(asyncpg.connect(database.dsn_admin, command_timeout=TIMEOUT_S))
        try:
            world = World(
                service, http, database, credentials, runner, connection, count(1), {OURS: ours, THEIRS: theirs}
            )
            world.revoke_in_use()
            yield world
        finally:
            runner.run(connection.close())


def _readable(service: str) -> Operation:
    """Return an operation of *service* that lists or names nothing."""
    return next(each for each in guarded_operations(service) if each.method == "GET" and "{" not in each.path)
