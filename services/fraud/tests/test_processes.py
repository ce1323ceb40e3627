"""The service's processes as an operator starts them: an event, a rule, a decision on the topic."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.decisions import DECISION_STREAM, DecisionMade
from contracts.envelope import from_record
from local_stack.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
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
        "FRAUD_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "FRAUD_EVENTS_TOPIC": await make_topic(PARTITIONS),
        "FRAUD_DECISIONS_TOPIC": await make_topic(PARTITIONS),
        "FRAUD_RULES_FILE": str(rules),
        "TRACE_SAMPLE_RATIO": "0",
        "TRACES_FILE": str(tmp_path / "traces.jsonl"),
    }


@dataclass
class Running:
    """A process of the service, and its pages."""

    child: Process
    pages: httpx2.AsyncClient


@asynccontextmanager
async def process(environment: Mapping[str, str], command: str) -> AsyncIterator[Running]:
    """Run a process of the service until the body ends, and see it end in order."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "fraud", command, env=environment)
    port = environment[f"FRAUD_{command.upper()}_PORT"]
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await ready(client)
            yield Running(child, client)
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


async def command(environment: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run a command of the service; return its exit code and what it printed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fraud",
        *arguments,
        env={**environment, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, printed.decode()


async def test_a_burst_becomes_a_decision_that_everybody_can_read(environment: Mapping[str, str]) -> None:
    stream, payer, payee = Stream(), wallet_in(5), wallet_in(6)
    events = [stream.opened(payer), stream.opened(payee), *stream.deposit(payer, 9_000)]
    for _ in range(6):
        events += stream.transfer(payer, payee)
    topic, brokers = environment["FRAUD_EVENTS_TOPIC"], environment["KAFKA_BOOTSTRAP_SERVERS"]

    async with AsyncExitStack() as stack:
        projector = await stack.enter_async_context(process(environment, "projector"))
        await stack.enter_async_context(process(environment, "relay"))
        api = (await stack.enter_async_context(process(environment, "api"))).pages
        await publish(brokers, topic, PARTITIONS, events)

        decided = await first_decision(brokers, environment["FRAUD_DECISIONS_TOPIC"])
        risk = await read(api, f"/v1/risk/wallets/{payer}", "5-9")

        assert (decided.wallet_id, decided.outcome, decided.wallet_version) == (str(payer), "block", 6)
        assert [decision["id"] for decision in risk["decisions"]] == [decided.decision_id]
        assert risk["velocity"][0]["count"] == 6
        assert "fraud_decisions_total" in (await projector.pages.get("/metrics")).text
        assert (await api.get("/openapi.json")).status_code == 200
        await a_broken_file_is_refused_at_once(projector, api, environment)
        assert (await command(environment, "projections", "status"))[0] == 0
        assert (await command(environment, "projections", "unpark", "--wallet", str(payer)))[0] == 0

    trial = ("backtest", "--rules", environment["FRAUD_RULES_FILE"])
    assert (await command(environment, *trial))[0] == 2
    write_rules(environment, RULES)
    status, printed = await command(environment, *trial)
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
        while (rules := (await api.get("/v1/risk/rules")).json())["last_refusal"] is None:  # noqa: ASYNC110
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


async def read(api: httpx2.AsyncClient, path: str, min_position: str) -> Any:
    """Read as a client does that was told to come again."""
    async with asyncio.timeout(60):
        while True:
            answer = await api.get(path, headers={"Min-Position": min_position})
            if answer.status_code == 200:
                return answer.json()
            assert answer.json()["code"] == "position_not_reached"
