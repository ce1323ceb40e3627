"""The service's processes as an operator starts them."""

import asyncio
import gzip
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.ids import new_id_text
from engines.ports import free_ports
from testkit.databases import Database
from testkit.events import EPOCH, Stream, publish, wallet_in
from testkit.export_api import rows_of
from testkit.processes import command, process, read
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually
from testkit.watermarks import complete

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 16
READY_WITHIN_S = 60


@pytest.fixture
async def environment(
    database: Database, kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> Mapping[str, str]:
    api_port, projector_port, indexer_port, worker_port = free_ports(4)
    return {
        **os.environ,
        "TRANSACTION_HISTORY_DATABASE_URL": database.dsn_app,
        "TRANSACTION_HISTORY_READER_DATABASE_URL": database.dsn_reader,
        "TRANSACTION_HISTORY_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "TRANSACTION_HISTORY_TOPIC": await make_topic(PARTITIONS),
        "TRANSACTION_HISTORY_API_PORT": str(api_port),
        "TRANSACTION_HISTORY_PROJECTOR_PORT": str(projector_port),
        "TRANSACTION_HISTORY_INDEXER_PORT": str(indexer_port),
        "TRANSACTION_HISTORY_WORKER_PORT": str(worker_port),
        "TRANSACTION_HISTORY_EVENTS_TOPIC": await make_topic(PARTITIONS),
        "TRANSACTION_HISTORY_OBJECTS_URL": str(tmp_path / "objects"),
        "TRANSACTION_HISTORY_JOB_LEASE_S": "2",
        "TRACE_SAMPLE_RATIO": "0",
    }


async def test_events_are_projected_read_and_rebuilt_by_real_processes(environment: Mapping[str, str]) -> None:
    stream, wallet = Stream(), wallet_in(5)
    events = [stream.opened(wallet), *stream.deposit(wallet, 900)]
    topic, brokers = environment["TRANSACTION_HISTORY_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]

    async def operate(*arguments: str) -> tuple[int, str]:
        return await command("transaction_history", environment, "projections", *arguments)

    assert (await command("transaction_history", environment, "migrate"))[0] == 0
    async with (
        process("transaction_history", "projector", environment) as projector,
        process("transaction_history", "indexer", environment) as indexer,
        process("transaction_history", "api", environment) as running_api,
    ):
        api = running_api.pages
        await publish(brokers, topic, PARTITIONS, events)
        page = await read(api, f"/v1/history/wallets/{wallet}/entries", "5-3")
        assert [entry["amount"]["amount"] for entry in page["data"]] == ["9.00"]
        assert "consumer_applied_total" in (await projector.pages.get("/metrics")).text
        found = await read(api, "/v1/history/search?q=thing+reference:order-1", "5-3")
        assert [entry["id"] for entry in found["data"]] == [entry["id"] for entry in page["data"]]
        assert "maintenance_" in (await indexer.pages.get("/metrics")).text
        assert (await api.get("/openapi.json")).status_code == 200

        status, printed = await operate("status")
        assert (status, "parked subject" in printed) == (0, True)
        status, printed = await command("transaction_history", environment, "index", "status")
        assert (status, "parked subject" in printed) == (0, True)
        assert (await operate("rewind", "--shard", "5"))[0] == 0
        assert (await operate("rewind", "--shard", "6"))[0] == 1
        assert (await operate("unpark", "--subject", str(wallet)))[0] == 0
        path = f"/v1/history/wallets/{wallet}/entries"
        known = {"If-None-Match": (await api.get(path)).headers["ETag"]}
        assert (await api.get(path, headers=known)).status_code == 304
        status, printed = await operate("rebuild", "--switch")
        assert (status, printed.splitlines()[-1]) == (0, "switched")
        assert await read(api, path, "5-3") == page
        assert (await api.get(path, headers=known)).status_code == 200
        status, printed = await operate("rebuild", "--back")
        assert (status, printed.splitlines()[-1].startswith("switched back")) == (0, True)
        assert (await operate("rebuild", "--drop-old", "--yes"))[1].splitlines()[-1] == "dropped"
        known = {"If-None-Match": (await api.get(path)).headers["ETag"]}
        status, printed = await operate("repair", "--wallet", str(wallet), "--dry-run")
        assert (status, printed.splitlines()[-1]) == (0, "would be written anew from 3 events, with 1 transactions")
        assert (await api.get(path, headers=known)).status_code == 304
        status, printed = await operate("repair", "--wallet", str(wallet))
        assert (status, printed.splitlines()[-1]) == (0, "written anew from 3 events, with 1 transactions")
        assert (await api.get(path, headers=known)).status_code == 200
        status, printed = await operate("drift")
        assert (status, printed.splitlines()[-1]) == (0, "3 events compared, 0 not, 0 differences")
        assert await read(api, f"/v1/history/wallets/{wallet}/entries", "5-3") == page


async def first_record(brokers: str, topic: str) -> Any:
    """Return the body of the first event of *topic*."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            record = await consumer.getone()
    finally:
        await consumer.stop()
    return json.loads(record.value)


async def test_a_job_is_carried_out_and_told_of_by_real_processes_of_which_one_is_killed(
    environment: Mapping[str, str],
) -> None:
    stream, wallet = Stream(), wallet_in(5)
    events = [stream.opened(wallet), *(event for _ in range(50) for event in stream.deposit(wallet, 9))]
    topic, brokers = environment["TRANSACTION_HISTORY_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]
    assert (await command("transaction_history", environment, "migrate"))[0] == 0
    async with (
        process("transaction_history", "projector", environment),
        process("transaction_history", "api", environment) as running_api,
    ):
        api = running_api.pages
        await publish(brokers, topic, PARTITIONS, events)
        await read(api, f"/v1/history/wallets/{wallet}/entries", f"5-{len(events)}")
        asked = await api.post(
            "/v1/history/exports",
            json={"dataset": "entries", "format": "csv", "gzip": True},
            headers={"Idempotency-Key": new_id_text()},
        )
        export = f"/v1/history/exports/{asked.json()['id']}"

        async def is_made() -> bool:
            return bool((await api.get(export)).json()["status"] == "succeeded")

        killed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transaction_history", "worker"), env=environment
        )

        async def is_under_way() -> bool:
            return bool((await api.get(export)).json()["status"] != "queued")

        await eventually(is_under_way)
        killed.kill()
        await killed.wait()
        async with process("transaction_history", "worker", environment) as worker:
            await eventually(is_made)
            told = await first_record(brokers, environment["TRANSACTION_HISTORY_EVENTS_TOPIC"])
            metrics = (await worker.pages.get("/metrics")).text
            deep = (await worker.pages.get("/health/deep")).json()
        made, file = (await api.get(export)).json(), (await api.get(f"{export}/file")).content

    assert len(rows_of(gzip.decompress(file))) == made["file"]["rows"] == 50
    assert hashlib.sha256(file).hexdigest() == made["file"]["sha256"] == told["sha256"]
    assert (told["status"], told["job_id"], told["kind"]) == ("succeeded", asked.json()["id"], "export")
    assert "history_jobs_under_way" in metrics
    assert "relay_published_total" in metrics
    assert "history_drift_events_total" in metrics
    assert "objects" in str(deep)


async def test_a_period_is_closed_and_told_of_by_a_real_worker(environment: Mapping[str, str]) -> None:
    stream, wallet = Stream(), wallet_in(5)
    events = [stream.opened(wallet), *stream.deposit(wallet, 9)]
    topic, brokers = environment["TRANSACTION_HISTORY_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]
    settings = {"time_zone": "UTC", "locale": "en", "schedule": "quarterly", "formats": ["csv"]}
    assert (await command("transaction_history", environment, "migrate"))[0] == 0
    async with (
        process("transaction_history", "projector", environment),
        process("transaction_history", "api", environment) as running_api,
    ):
        api = running_api.pages
        await publish(brokers, topic, PARTITIONS, events)
        await read(api, f"/v1/history/wallets/{wallet}/entries", f"5-{len(events)}")
        put = await api.put("/v1/history/statement-settings", json=settings, headers={"Idempotency-Key": new_id_text()})
        connection = await asyncpg.connect(environment["TRANSACTION_HISTORY_DATABASE_URL"])
        await complete(connection, EPOCH + timedelta(days=100))
        await connection.close()
        async with process("transaction_history", "worker", environment) as worker:
            told = await first_record(brokers, environment["TRANSACTION_HISTORY_EVENTS_TOPIC"])
            statement = f"/v1/history/statements/{told['statement_id']}"
            file = await api.get(f"{statement}/file", params={"format": "csv"})
            metrics = (await worker.pages.get("/metrics")).text
        found = (await api.get(statement)).json()

    assert put.status_code == 200
    assert (told["wallet_id"], told["number"], told["closing"]["amount"]) == (str(wallet), 1, "0.09")
    assert (found["period_to"], found["closing"]) == ("2026-04-01", told["closing"])
    assert [row["amount"] for row in rows_of(file.content)] == ["0.09"]
    assert "history_statements_total 1.0" in metrics
