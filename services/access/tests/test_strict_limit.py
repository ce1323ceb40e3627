"""The making of keys is limited in the database: over every instance at once, and not at all where it cannot be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from access import bootstrap
from access.config import AccessSettings
from contracts.scopes import Kind
from servicekit.limits import DEFAULT_POLICY, Limit
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import TENANT, Whole
from testkit.databases import Database
from testkit.identities import introduce, make_test_key, tenant_event

pytestmark = pytest.mark.integration

OPERATOR: Final = make_test_key(Kind.OPERATOR)
RATE: Final = DEFAULT_POLICY.key_creation
_NOW_US: Final = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of an API of its own, under its own authority and limits."""
    settings = AccessSettings(
        access_database_url=database.dsn_app,
        access_reader_database_url=database.dsn_reader,
        access_allow_loopback=True,
    )
    telemetry = Telemetry("access", "test", "1", CollectorRegistry(), Tracing("test", 0.0))
    async with (
        bootstrap.open_api(settings, telemetry, standing=Whole()) as app,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://access", headers=OPERATOR.headers
        ) as http,
    ):
        yield http


@pytest.fixture
async def apis(database: Database) -> AsyncIterator[list[httpx2.AsyncClient]]:
    await introduce(database.dsn_app, tenant_event(), *OPERATOR.events())
    async with opened(database) as one, opened(database) as other:
        yield [one, other]


async def post(http: httpx2.AsyncClient, path: str, key: str, **body: Any) -> httpx2.Response:
    return await http.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": key})


async def account_of(http: httpx2.AsyncClient) -> str:
    made = await post(http, "service-accounts", "account", name="backend", kind="service")
    assert made.status_code == 201, made.text
    return f"service-accounts/{made.json()['id']}/keys"


async def leave(pool: Pool, units: int) -> None:
    """Have *units* left of what the tenant may make now."""
    async with pool.connection() as connection:
        await connection.execute(
            f"""insert into servicekit.rate_bucket (kind, id, tat_us) values ($1, $2, {_NOW_US} + $3)
                on conflict (kind, id) do update set tat_us = excluded.tat_us""",
            int(Limit.KEY_CREATION),
            TENANT.bytes,
            (RATE.burst - units) * RATE.emission_us,
        )


async def test_instances_make_no_more_keys_than_the_limit_between_them(
    apis: list[httpx2.AsyncClient], pool: Pool
) -> None:
    keys = await account_of(apis[0])
    await leave(pool, 1)
    made = await post(apis[0], keys, "first", scopes=[])
    refused = await post(apis[1], keys, "second", scopes=[])

    assert made.status_code == 201, made.text
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= RATE.emission_us // 1_000_000
    assert refused.headers["ratelimit"].startswith('"key_creation";r=0;')
    assert refused.headers["ratelimit-policy"].startswith('"key_creation";q=20;')
    assert len((await apis[0].get(f"/v1/{keys}")).json()["data"]) == 1


async def test_a_refused_command_leaves_its_idempotency_key_free_and_a_repeat_costs_nothing(
    apis: list[httpx2.AsyncClient], pool: Pool
) -> None:
    keys = await account_of(apis[0])
    await leave(pool, 0)
    assert (await post(apis[0], keys, "k", scopes=[])).status_code == 429
    await leave(pool, 1)
    made = await post(apis[0], keys, "k", scopes=[])
    again = await post(apis[1], keys, "k", scopes=[])

    assert made.status_code == 201, made.text
    assert again.json() == made.json() | {"key": None}


async def test_no_other_command_meets_the_limit(apis: list[httpx2.AsyncClient], pool: Pool) -> None:
    await leave(pool, 0)
    made = await post(apis[0], "service-accounts", "other", name="another", kind="service")

    assert made.status_code == 201, made.text


async def test_where_the_limit_cannot_be_taken_no_key_is_made(
    apis: list[httpx2.AsyncClient], database: Database
) -> None:
    keys = await account_of(apis[0])
    admin = await asyncpg.connect(database.dsn_admin)
    try:
        await admin.execute("alter table servicekit.rate_bucket rename to away")
        refused = await post(apis[0], keys, "k", scopes=[])
        assert refused.status_code == 500, refused.text
        assert (await apis[0].get(f"/v1/{keys}")).json()["data"] == []
        await admin.execute("alter table servicekit.away rename to rate_bucket")
        assert (await post(apis[0], keys, "k", scopes=[])).status_code == 201
    finally:
        await admin.close()
