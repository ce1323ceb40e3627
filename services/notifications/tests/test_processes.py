"""The service's processes as an operator starts them: from a topic to a receiver, and back to a topic."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer

from contracts.envelope import from_record
from contracts.notices import NOTICE_STREAM, EndpointDisabled
from local_stack.ports import free_ports
from testkit.databases import Database
from testkit.events import Stream, publish, wallet_in
from testkit.notifications_api import Client
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
        "NOTIFICATIONS_OWNER_DATABASE_URL": database.dsn_owner,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "NOTIFICATIONS_TOPIC": await make_topic(PARTITIONS),
        "NOTIFICATIONS_EVENTS_TOPIC": await make_topic(PARTITIONS),
        "NOTIFICATIONS_ALLOW_LOOPBACK": "true",
        "TRACE_SAMPLE_RATIO": "0",
    }


@asynccontextmanager
async def process(environment: Mapping[str, str], kind: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a process of the service until the body ends, and see it end in order."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "notifications", kind, env=environment)
    address = f"http://127.0.0.1:{environment[f'NOTIFICATIONS_{kind.upper()}_PORT']}"
    try:
        async with httpx2.AsyncClient(base_url=address) as client:
            await ready(client)
            yield client
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


async def command(environment: Mapping[str, str], *arguments: str) -> int:
    """Run a command of the service; return its exit code."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "notifications", *arguments, env=environment)
    return await child.wait()


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

    assert await command(environment, "migrate") == 0
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        pages = {kind: await stack.enter_async_context(process(environment, kind)) for kind in KINDS}
        client = Client(pages["api"])
        endpoint = await client.endpoint(receiver.url())
        await publish(brokers, topic, PARTITIONS, events)
        await receiver.wait_for(2, within_s=WITHIN_S)
        assert set(receiver.ids()) == {f"msg_{event.event_id}" for event in events[:2]}

        receiver.answer = lambda _post: Reply(410)
        await client.post(f"webhook-endpoints/{endpoint['id']}/test")
        assert await first_notice(environment) == EndpointDisabled(endpoint_id=endpoint["id"], reason="gone")
        assert 'webhook_attempts_total{outcome="gone"} 1.0' in (await pages["worker"].get("/metrics")).text

        assert await command(environment, "projections", "status") == 0
        assert await command(environment, "projections", "rewind", "--shard", "5") == 0
        assert await command(environment, "projections", "rewind", "--shard", "6") == 1
