"""The service's processes as an operator starts them: an event, a rule, a decision on the topic."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.decisions import DECISION_STREAM, DecisionMade
from contracts.envelope import from_record
from engines.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
from testkit.processes import Running, command, process, read
from testkit.pytest_plugin import MakeTopic

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 16
READY_WITHIN_S = 60
RULES = """
version: "1"
rules:
  - {name: burst, type: velocity_count, events: [sent], window: 1m, max_count: 3, outcome: block, mode: live,
     cool_down: 1h}
"""


@pytest.fixture
async def environment(
    database: Database, kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> Mapping[str, str]:
    ports = dict(
        zip(("FRAUD_API_PORT", "FRAUD_PROJECTOR_PORT", "FRAUD_RELAY_PORT"), map(str, free_ports(3)), strict=True)
    )
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    return {
        **os.environ,
        **ports,
        "FRAUD_DATABASE_URL": database.dsn_app,
        "FRAUD_READER_DATABASE_URL": database.dsn_reader,
        "FRAUD_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "FRAUD_EVENTS_TOPIC": await make_topic(PARTITIONS),
        "FRAUD_DECISIONS_TOPIC": await make_topic(PARTITIONS),
        "FRAUD_RULES_FILE": str(rules),
        "TRACE_SAMPLE_RATIO": "0",
        "TRACES_FILE": str(tmp_path / "traces.jsonl"),
    }


async def test_a_burst_becomes_a_decision_that_everybody_can_read(environment: Mapping[str, str]) -> None:
    stream, payer, payee = Stream(), wallet_in(5), wallet_in(6)
    events = [stream.opened(payer), stream.opened(payee), *stream.deposit(payer, 9_000)]
    for _ in range(6):
        events += stream.transfer(payer, payee)
    topic, brokers = environment["FRAUD_EVENTS_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]

    async with AsyncExitStack() as stack:
        projector = await stack.enter_async_context(process("fraud", "projector", environment))
        await stack.enter_async_context(process("fraud", "relay", environment))
        api = (await stack.enter_async_context(process("fraud", "api", environment))).pages
        await publish(brokers, topic, PARTITIONS, events)

        decided = await first_decision(brokers, environment["FRAUD_DECISIONS_TOPIC"])
        risk = await read(api, f"/v1/risk/wallets/{payer}", "5-9")

        assert (decided.wallet_id, decided.outcome, decided.wallet_version) == (str(payer), "block", 6)
        assert [decision["id"] for decision in risk["decisions"]] == [decided.decision_id]
        assert risk["velocity"][0]["count"] == 6
        page = (await projector.pages.get("/metrics")).text
        assert "fraud_decisions_total" in page
        assert "fraud_decision_seconds_count" in page
        assert (await api.get("/openapi.json")).status_code == 200
        await a_broken_file_is_refused_at_once(projector, api, environment)
        assert (await command("fraud", environment, "projections", "status"))[0] == 0
        assert (await command("fraud", environment, "identities", "status"))[0] == 0
        assert (await command("fraud", environment, "projections", "unpark", "--subject", str(payer)))[0] == 0

    trial = ("backtest", "--rules", environment["FRAUD_RULES_FILE"])
    assert (await command("fraud", environment, *trial))[0] == 2
    write_rules(environment, RULES)
    status, printed = await command("fraud", environment, *trial)
    summary = f"{len(events)} events, 1 decisions by rules {risk['rules_version']}"
    assert (status, printed.splitlines()[-1]) == (0, summary)
    assert f"live  block  {payer}  v6  burst: 4 debits in 60 s > 3" in printed


def write_rules(environment: Mapping[str, str], text: str) -> None:
    Path(environment["FRAUD_RULES_FILE"]).write_text(text)


async def a_broken_file_is_refused_at_once(
    projector: Running, api: httpx2.AsyncClient, environment: Mapping[str, str]
) -> None:
    write_rules(environment, "version: [")
    projector.child.send_signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        while (rules := (await api.get("/v1/risk/rules")).json())["last_refusal"] is None:  # noqa: ASYNC110 - the event is the API's
            await asyncio.sleep(0.05)
    assert rules["last_refusal"]["errors"][0].startswith("rules.yaml:1: ")
    assert rules["in_force"]["version"].startswith("1+")
    assert "fraud_rules_reload_failures_total 1.0" in (await projector.pages.get("/metrics")).text


async def first_decision(brokers: str, topic: str) -> DecisionMade:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            event = from_record((record := await consumer.getone()).headers, record.value)
    finally:
        await consumer.stop()
    assert json.loads(event.data)["trigger"]["event_id"] == str(event.causation_id)
    return DECISION_STREAM.parse(event.type, event.data)
