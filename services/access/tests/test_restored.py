"""The service's processes over a database that is restored from a backup behind what was published."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from access.continuity.topic import AccessTopic
from engines.ports import free_ports
from servicekit.brokers import Brokers
from servicekit.relay.errors import EXIT_TOPIC_AHEAD
from servicekit.relay.topic_positions import PlacedEvent
from testkit.databases import Database, Server
from testkit.processes import command, process
from testkit.pytest_plugin import MakeTopic
from testkit.tokens import Signer
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 4
TENANT = "01900000-0000-7000-8000-0000000000c1"
PLAN = f"""
[[tenants]]
id = "{TENANT}"
name = "Example"

[[tenants.service_accounts]]
name = "first operator"
kind = "operator"
key = {{ all_scopes = true }}
"""
ASK_EVERY_S = 0.02
ADDRESSES = 200
"""Whoever asks comes from each in turn: a refused credential is not limited, which would hide whether it is good."""
STATE = {
    "tenant": "*",
    "issuer": "id, tenant_id, name, issuer, audience, status, kinds, claims, max_lifetime_s, created_at, updated_at",
    "issuer_key": "*",
    "service_account": "*",
    "api_key": "id, service_account_id, scopes, acts_for, ranges, digest, created_at, expires_at, ends_at, is_revoked",
    "subject": "*",
    "rate_limit_policy": "*",
}
"""What the topic tells of each table."""


class Scene:
    """An installation with its API at work, and a backup of its database."""

    def __init__(self, environment: Mapping[str, str], database: Database, server: Server) -> None:
        self.environment = environment
        self.database = database
        self.backup = f"{database.name}_backup"
        self._server = server
        self._sent = 0

    @asynccontextmanager
    async def api(self, key: str) -> AsyncIterator[httpx2.AsyncClient]:
        """Run the API and give it to the holder of *key*."""
        async with process("access", "api", self.environment) as running:
            running.pages.headers["authorization"] = f"Bearer {key}"
            yield running.pages

    async def send(self, http: httpx2.AsyncClient, path: str, body: Any = None, method: str = "POST") -> Any:
        """Send a command that must succeed; return its body."""
        self._sent += 1
        answer = await http.request(method, f"/v1/{path}", json=body, headers={"idempotency-key": f"k{self._sent}"})
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def back_up(self) -> None:
        """Take a backup, for which sessions end."""
        await self._closed(f"create database {self.backup} template {self.database.name}")

    async def restore(self) -> None:
        """Put the backup in the database's place, beneath whatever lives."""
        await self._closed(
            f"alter database {self.database.name} rename to {self.database.name}_lost",
            f"alter database {self.backup} rename to {self.database.name}",
        )

    async def drop(self) -> None:
        for each in (self.backup, f"{self.database.name}_lost"):
            await self._admin(f"drop database if exists {each} with (force)")

    async def _closed(self, *statements: str) -> None:
        name = self.database.name
        await self._admin(
            f"alter database {name} allow_connections false",
            f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'",
            *statements,
        )
        for each in (name, f"{name}_lost"):
            with suppress(asyncpg.InvalidCatalogNameError):
                await self._admin(f"alter database {each} allow_connections true")

    async def _admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._server.admin_dsn)
        try:
            for each in statements:
                await connection.execute(each)
        finally:
            await connection.close()

    async def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what the topic tells of, as the tables have it."""
        return {
            table: [tuple(row) for row in await self.fetch(f"select {columns} from access.{table} order by 1, 2")]
            for table, columns in STATE.items()
        }

    async def is_published(self) -> bool:
        rows = await self.fetch(
            "select from servicekit.outbox as o join servicekit.relay_lease as l using (shard) where o.seq > l.cursor"
        )
        return not rows

    async def fetch(self, sql: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database.dsn_admin)
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql)
            return found
        finally:
            await connection.close()

    async def publish(self) -> None:
        """Run the relay until all is published."""
        async with process("access", "relay", self.environment):
            await eventually(self.is_published)

    async def told(self) -> list[PlacedEvent]:
        """Return what the topic has."""
        topic = AccessTopic(Brokers(self.environment["KAFKA_BOOTSTRAP_SERVERS"]), self.environment["ACCESS_TOPIC"])
        return [each async for poll in topic.events() for each in poll]


@pytest.fixture
async def scene(
    database: Database, postgres_server: Server, kafka_bootstrap: str, make_topic: MakeTopic
) -> AsyncIterator[Scene]:
    kinds = ("API", "RELAY", "WORKER")
    environment = {
        "TRUSTED_PROXIES": "127.0.0.0/8",
        **os.environ,
        **{f"ACCESS_{kind}_PORT": str(port) for kind, port in zip(kinds, free_ports(3), strict=True)},
        "ACCESS_DATABASE_URL": database.dsn_app,
        "ACCESS_READER_DATABASE_URL": database.dsn_reader,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "ACCESS_TOPIC": await make_topic(PARTITIONS),
        "TRACE_SAMPLE_RATIO": "0",
    }
    made = Scene(environment, database, postgres_server)
    yield made
    await made.drop()


async def provisioned(scene: Scene, file: Path) -> dict[str, Any]:
    await asyncio.to_thread(file.write_text, PLAN)
    code, out = await command("access", scene.environment, "bootstrap", "--file", str(file))
    assert code == 0, out
    made: dict[str, Any] = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    return made


async def change_all(scene: Scene, http: httpx2.AsyncClient, before: Mapping[str, Any]) -> None:
    """Change what there was *before*, and make new ones, of each kind of entity."""
    await scene.send(http, f"api-keys/{before['revoked']['id']}/revoke")
    await scene.send(http, f"api-keys/{before['rotated']['id']}/rotate", {"overlap_s": 3_600})
    await scene.send(http, f"service-accounts/{before['account']['id']}", {"name": "renamed"}, "PUT")
    await scene.send(http, f"tenants/{before['tenant']['id']}/suspend")
    await scene.send(http, "rate-limits", {"limits": {"user": {"per_s": 7, "burst": 9}}}, "PUT")
    await scene.send(http, "issuers", issuer("second"))
    await scene.send(http, f"issuers/{before['issuer']['id']}", method="DELETE")
    new = await scene.send(http, "service-accounts", {"name": "new", "kind": "service"})
    key = await scene.send(http, f"service-accounts/{new['id']}/keys", {"scopes": ["wallets:read"]})
    await scene.send(http, f"api-keys/{key['id']}/revoke")
    await scene.send(http, f"subjects/svc:{new['id']}/disable")
    await scene.send(http, "tenants", {"name": "later"})


def issuer(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "issuer": f"https://{name}.example.com/",
        "audience": "a",
        "kinds": ["service"],
        "key_set": {"keys": [Signer().jwk]},
    }


async def ask(http: httpx2.AsyncClient, key: str, codes: Counter[str], address: str) -> None:
    """Ask as the holder of *key* at *address*, and count the code of the refusal; `taken` where there is none."""
    headers = {"authorization": f"Bearer {key}", "x-forwarded-for": address}
    with suppress(httpx2.TransportError):
        answer = await http.get("/v1/whoami", headers=headers)
        codes["taken" if answer.is_success else answer.json()["code"]] += 1


async def ask_until(http: httpx2.AsyncClient, key: str, codes: Counter[str], stop: asyncio.Event) -> None:
    addresses = cycle(f"10.0.0.{number}" for number in range(ADDRESSES))
    while not stop.is_set():
        await ask(http, key, codes, next(addresses))
        await asyncio.sleep(ASK_EVERY_S)


async def test_a_restored_database_lets_nobody_in_until_an_operator_takes_the_topic_over(
    scene: Scene, tmp_path: Path
) -> None:
    operator = await provisioned(scene, tmp_path / "plan.toml")
    async with scene.api(operator["key"]) as http:
        account = await scene.send(http, "service-accounts", {"name": "backend", "kind": "service"})
        keys = f"service-accounts/{account['id']}/keys"
        before = {
            "account": account,
            "revoked": await scene.send(http, keys, {"scopes": ["wallets:read"]}),
            "tenant": await scene.send(http, "tenants", {"name": "other"}),
            "issuer": await scene.send(http, "issuers", issuer("first")),
        }
        before["rotated"] = await scene.send(http, keys, {"scopes": ["wallets:read"]})
        await scene.publish()
        await scene.back_up()
        await eventually(lambda: serves(http))
        await change_all(scene, http, before)
        await scene.publish()
        changed, last = await scene.state(), await scene.told()

        codes, stop = Counter[str](), asyncio.Event()
        revoked = before["revoked"]["key"]
        asking = asyncio.create_task(ask_until(http, revoked, codes, stop))
        await eventually(lambda: holds(codes["key_revoked"] > 0))
        await scene.restore()
        await eventually(lambda: holds(codes["halted"] > 20))
        assert (await http.get("/v1/whoami")).json()["code"] == "halted"
        refused = await http.post(f"/v1/{keys}", json={"scopes": []}, headers={"idempotency-key": "k"})
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "halted", "1")

        code, out = await command("access", scene.environment, "relay")
        assert code == EXIT_TOPIC_AHEAD, out
        code, out = await command("access", scene.environment, "bootstrap", "--file", str(tmp_path / "plan.toml"))
        assert (code, "wpk_" in out) == (1, False)
        unhalting = ("unhalt", "--operator", "somebody")
        code, out = await command("access", scene.environment, *unhalting, "--dry-run")
        assert (code, f"{len(last) - 8} events would be taken over" in out) == (0, True)
        code, out = await command("access", scene.environment, *unhalting)
        assert code == 0, out
        assert f"{len(last) - 8} events taken over" in out

        assert set(codes) <= {"key_revoked", "unavailable", "halted"}
        await eventually(lambda: serves(http))
        codes.clear()
        await eventually(lambda: holds(codes["key_revoked"] > 0))
        stop.set()
        await asking
        assert set(codes) == {"key_revoked"}
        assert await scene.state() == changed
        await scene.send(http, "service-accounts", {"name": "afterwards", "kind": "service"})
        await scene.publish()
    told = await scene.told()
    assert len(told) == len(last) + 1
    require_dense(told)
    who = await scene.fetch("select distinct cleared_by from servicekit.relay_halt where cleared_at is not null")
    assert [row["cleared_by"] for row in who] == ["somebody"]


async def serves(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/v1/whoami")).is_success


async def holds(condition: bool) -> bool:  # noqa: FBT001  what was just looked at
    return condition


def require_dense(told: Sequence[PlacedEvent]) -> None:
    ends: dict[int, int] = {}
    for each in told:
        assert each.sequence == ends.get(each.shard, 0) + 1
        ends[each.shard] = each.sequence


async def test_an_api_that_starts_on_a_restored_database_lets_nobody_in(scene: Scene, tmp_path: Path) -> None:
    operator = await provisioned(scene, tmp_path / "plan.toml")
    async with scene.api(operator["key"]) as http:
        made = await scene.send(http, f"service-accounts/{operator['service_account_id']}/keys", {"scopes": []})
        await scene.publish()
        await scene.back_up()
        await eventually(lambda: serves(http))
        await scene.send(http, f"api-keys/{made['id']}/revoke")
        await scene.publish()
    await scene.restore()
    codes = Counter[str]()
    async with scene.api(operator["key"]) as http:
        for _ in range(20):
            await ask(http, made["key"], codes, "10.0.1.1")
        assert set(codes) == {"halted"}
        deep = await http.get("/health/deep")
        assert (deep.status_code, deep.json()["checks"]["relay"]["ok"]) == (503, False)
        assert (await http.get("/health/ready")).status_code == 200
