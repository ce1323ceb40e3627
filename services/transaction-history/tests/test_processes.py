"""The service's processes as an operator starts them."""

import os
from collections.abc import Mapping

import pytest

from engines.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
from testkit.processes import command, process, read
from testkit.pytest_plugin import MakeTopic

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 16
READY_WITHIN_S = 60


@pytest.fixture
async def environment(database: Database, kafka_bootstrap: str, make_topic: MakeTopic) -> Mapping[str, str]:
    api_port, projector_port, indexer_port = free_ports(3)
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
        status, printed = await operate("rebuild", "--switch")
        assert (status, printed.splitlines()[-1]) == (0, "switched")
        assert await read(api, f"/v1/history/wallets/{wallet}/entries", "5-3") == page
