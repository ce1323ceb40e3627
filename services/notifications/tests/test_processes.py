"""The service's processes as an operator starts them: from a topic to a receiver, and back to a topic."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer

from contracts.envelope import from_record
from contracts.notices import NOTICE_STREAM, EndpointDisabled
from engines.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
from testkit.notifications_api import Client
from testkit.processes import command, process
from testkit.pytest_plugin import MakeTopic
from testkit.receiver import Reply, receiving

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PARTITIONS = 16
WITHIN_S = 60
KINDS = ("api", "projector", "worker", "relay")


@pytest.fixture
async def environment(database: Database, kafka_bootstrap: str, make_topic: MakeTopic) -> Mapping[str, str]:
    ports = {f"NOTIFICATIONS_{kind.upper()}_PORT": str(port) for kind, port in zip(KINDS, free_ports(4), strict=True)}
    return {
        **os.environ,
        **ports,
        "NOTIFICATIONS_DATABASE_URL": database.dsn_app,
        "NOTIFICATIONS_READER_DATABASE_URL": database.dsn_reader,
        "NOTIFICATIONS_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "NOTIFICATIONS_TOPIC": await make_topic(PARTITIONS),
        "NOTIFICATIONS_EVENTS_TOPIC": await make_topic(PARTITIONS),
        "NOTIFICATIONS_ALLOW_LOOPBACK": "true",
        "TRACE_SAMPLE_RATIO": "0",
    }


async def first_notice(environment: Mapping[str, str]) -> EndpointDisabled | object:
    """Return the first event of the service's own topic."""
    consumer = AIOKafkaConsumer(
        environment["NOTIFICATIONS_EVENTS_TOPIC"],
        bootstrap_servers=environment["KAFKA_BOOTSTRAP_SERVERS"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            record = await consumer.getone()
    finally:
        await consumer.stop()
    event = from_record(record.headers, record.value)
    return NOTICE_STREAM.parse(event.type, event.data)


async def test_an_event_reaches_its_receiver_and_its_end_the_topic(environment: Mapping[str, str]) -> None:
    stream, wallet = Stream(), wallet_in(5)
    events = [stream.opened(wallet), *stream.deposit(wallet)]
    brokers, topic = environment["KAFKA_BOOTSTRAP_SERVERS"], environment["NOTIFICATIONS_TOPIC"]

    assert (await command("notifications", environment, "migrate"))[0] == 0
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        running = {kind: await stack.enter_async_context(process("notifications", kind, environment)) for kind in KINDS}
        pages = {kind: each.pages for kind, each in running.items()}
        client = Client(pages["api"])
        endpoint = await client.endpoint(receiver.url())
        await publish(brokers, topic, PARTITIONS, events)
        await receiver.wait_for(2, within_s=WITHIN_S)
        assert set(receiver.ids()) == {f"msg_{event.event_id}" for event in events[:2]}

        receiver.answer = lambda _post: Reply(410)
        await client.post(f"webhook-endpoints/{endpoint['id']}/test")
        assert await first_notice(environment) == EndpointDisabled(endpoint_id=endpoint["id"], reason="gone")
        assert 'webhook_attempts_total{outcome="gone"} 1.0' in (await pages["worker"].get("/metrics")).text

        assert (await command("notifications", environment, "projections", "status"))[0] == 0
        assert (await command("notifications", environment, "projections", "rewind", "--shard", "5"))[0] == 0
        assert (await command("notifications", environment, "projections", "rewind", "--shard", "6"))[0] == 1
