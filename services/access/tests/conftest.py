"""A migrated database per test, and the API over it, admitting whomever a test says."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from access import bootstrap
from access.config import AccessSettings
from contracts.access import ACCESS_STREAM, AccessData
from contracts.registry import TYPES_BY_NUMBER
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs, Whole
from testkit.databases import Database, Server, TemplateDatabase, migrated_template

Json = dict[str, Any]


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "access", bootstrap.migration_sources())


@dataclass
class Bench:
    """The API in one process. *authority* admits as its `principal`, which a test may change."""

    http: httpx2.AsyncClient
    pool: Pool
    authority: AdmitsAs = field(default_factory=AdmitsAs)
    keys: int = 0

    async def send(
        self, method: str, path: str, body: Json | None = None, *, key: str | None = None
    ) -> httpx2.Response:
        """Send a command under *key*, or under a fresh one."""
        self.keys += 1
        return await self.http.request(
            method, f"/v1/{path}", json=body, headers={"Idempotency-Key": key or f"key-{self.keys}"}
        )

    async def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> httpx2.Response:
        return await self.send("POST", path, body, key=key)

    async def get(self, path: str, **query: Any) -> httpx2.Response:
        return await self.http.get(f"/v1/{path}", params=query)

    async def account(self, kind: str = "service", name: str = "backend") -> Json:
        """Create a service account and return its body."""
        return created(await self.post("service-accounts", {"name": name, "kind": kind}))

    async def api_key(self, account: Json, **wanted: Any) -> Json:
        """Create a key and return its body."""
        body = {"scopes": ["wallets:read"]} | wanted
        return created(await self.post(f"service-accounts/{account['id']}/keys", body))

    async def events(self) -> list[AccessData]:
        """Return what the outbox holds, in the order of its shards."""
        async with self.pool.connection() as connection:
            rows = await connection.fetch(
                "select type, payload from servicekit.outbox order by occurred_at, shard, seq"
            )
        return [ACCESS_STREAM.parse(TYPES_BY_NUMBER[row["type"]].name, row["payload"]) for row in rows]

    async def rows(self) -> list[Any]:
        """Return everything that the service has stored, idempotency keys included."""
        tables = ("tenant", "issuer", "issuer_key", "service_account", "api_key", "subject", "rate_limit_policy")
        async with self.pool.connection() as connection:
            found = [await connection.fetch(f"select * from access.{table} order by 1, 2") for table in tables]
            found.append(await connection.fetch("select client, key from access.idempotency order by 1, 2"))
            found.append(await connection.fetch("select shard, seq from servicekit.outbox order by 1, 2"))
        return [[tuple(row.values()) for row in rows] for rows in found]


def created(answer: httpx2.Response) -> Json:
    """Return the body of an answer that created something."""
    assert answer.status_code == httpx2.codes.CREATED, answer.text
    body: Json = answer.json()
    return body


@pytest.fixture
async def bench(database: Database, pool: Pool) -> AsyncIterator[Bench]:
    settings = AccessSettings(
        access_database_url=database.dsn_app,
        access_reader_database_url=database.dsn_reader,
        access_allow_loopback=True,
    )
    telemetry = Telemetry("access", "test", "1", CollectorRegistry(), Tracing("test", 0.0))
    authority = AdmitsAs()
    async with (
        bootstrap.open_api(settings, telemetry, authority=authority, standing=Whole()) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://access") as http,
    ):
        yield Bench(http, pool, authority)
