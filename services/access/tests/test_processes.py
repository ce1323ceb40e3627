"""The service's processes as an operator starts them: from a file and an API to the topic."""

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.access import ACCESS_STREAM, AccessData, ApiKeyChanged
from contracts.envelope import from_record
from engines.ports import free_ports
from testkit.databases import Database
from testkit.processes import command, process
from testkit.pytest_plugin import MakeTopic

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 4
WITHIN_S = 60
KINDS = ("api", "relay", "worker")
PLAN = """
[[tenants]]
id = "01900000-0000-7000-8000-0000000000c1"
name = "Example"

[[tenants.service_accounts]]
name = "first operator"
kind = "operator"
key = { all_scopes = true }
"""


@pytest.fixture
async def environment(database: Database, kafka_bootstrap: str, make_topic: MakeTopic) -> Mapping[str, str]:
    ports = {f"ACCESS_{kind.upper()}_PORT": str(port) for kind, port in zip(KINDS, free_ports(3), strict=True)}
    return {
        **os.environ,
        **ports,
        "ACCESS_DATABASE_URL": database.dsn_app,
        "ACCESS_READER_DATABASE_URL": database.dsn_reader,
        "ACCESS_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "ACCESS_TOPIC": await make_topic(PARTITIONS),
        "TRACE_SAMPLE_RATIO": "0",
    }


async def told(environment: Mapping[str, str], count: int) -> list[AccessData]:
    """Return the first *count* events of the topic."""
    consumer = AIOKafkaConsumer(
        environment["ACCESS_TOPIC"],
        bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            records = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    events = [from_record(record.headers, record.value) for record in records]
    return [ACCESS_STREAM.parse(event.type, event.data) for event in events]


async def test_a_key_of_a_file_makes_another_and_both_are_told(environment: Mapping[str, str], tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    await asyncio.to_thread(file.write_text, PLAN)
    assert (await command("access", environment, "migrate"))[0] == 0
    code, out = await command("access", environment, "bootstrap", "--file", str(file))
    assert code == 0, out
    first: dict[str, Any] = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    code, again = await command("access", environment, "bootstrap", "--file", str(file))
    assert (code, "wpk_" in again) == (0, False)

    async with AsyncExitStack() as stack:
        running = {kind: await stack.enter_async_context(process("access", kind, environment)) for kind in KINDS}
        api = running["api"].pages
        api.headers["authorization"] = f"Bearer {first['key']}"
        assert (await api.get("/v1/whoami")).json()["subject"] == f"svc:{first['service_account_id']}"
        made = await api.post(
            f"/v1/service-accounts/{first['service_account_id']}/keys",
            json={"scopes": ["wallets:read"]},
            headers={"idempotency-key": "k"},
        )
        assert made.status_code == 201, made.text

        events = await told(environment, 4)
        told_keys = {event.key_id for event in events if isinstance(event, ApiKeyChanged)}
        assert told_keys == {first["key_id"], made.json()["id"]}
        for each in running.values():
            assert (await each.pages.get("/health/ready")).status_code == 200

        api.headers["authorization"] = f"Bearer {made.json()['key']}"
        assert (await api.get("/v1/whoami")).json()["scopes"] == ["wallets:read"]
        assert (await api.get("/v1/issuers")).status_code == 403
