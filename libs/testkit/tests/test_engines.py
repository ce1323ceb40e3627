import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from engines import topics
from engines.kafka import KafkaBroker
from engines.postgres import PostgresServer
from testkit.databases import Server, TemplateDatabase
from testkit.pytest_plugin import MakeTopic

pytestmark = pytest.mark.integration


async def test_postgresql_answers(postgres_server: Server) -> None:
    connection = await asyncpg.connect(postgres_server.admin_dsn)

    version = await connection.fetchval("show server_version")

    await connection.close()
    assert version.startswith("18.")


async def test_a_record_comes_back_from_the_broker(kafka_bootstrap: str, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=2)

    await produce(kafka_bootstrap, topic, b"hello")

    assert await consume_one(kafka_bootstrap, topic) == b"hello"


async def test_each_database_is_a_fresh_copy_of_the_migrated_template(postgres_server: Server) -> None:
    template = TemplateDatabase(postgres_server, service="sample", migrate=make_table)

    async with template.database() as first, template.database() as second:
        await execute(first.dsn_app, "insert into numbers values (1)")

        assert await fetch_count(first.dsn_app) == 1
        assert await fetch_count(second.dsn_app) == 0


async def test_a_service_cannot_enter_the_database_of_another(postgres_server: Server) -> None:
    ours = TemplateDatabase(postgres_server, service="sample", migrate=make_table)
    theirs = TemplateDatabase(postgres_server, service="other", migrate=make_nothing)

    async with ours.database() as own, theirs.database() as other:
        trespass = own.dsn_app.replace(own.name, other.name)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(trespass)


async def test_what_was_committed_survives_kill_9(own_postgres: PostgresServer) -> None:
    await execute(own_postgres.admin_dsn, "create table numbers (n int)")
    await execute(own_postgres.admin_dsn, "insert into numbers values (1)")

    own_postgres.kill()
    own_postgres.start()

    assert await fetch_count(own_postgres.admin_dsn) == 1


async def test_records_survive_kill_9_of_the_broker(own_kafka: KafkaBroker) -> None:
    async with topics.admin_client(own_kafka.bootstrap_servers) as admin:
        await topics.create_topic(admin, "kept", 1)
    await produce(own_kafka.bootstrap_servers, "kept", b"before")

    own_kafka.kill()
    own_kafka.start()

    assert await consume_one(own_kafka.bootstrap_servers, "kept") == b"before"


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def consume_one(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    assert record.value is not None
    return bytes(record.value)


async def make_table(dsn_owner: str) -> None:
    await execute(dsn_owner, "create table numbers (n int); grant select, insert on numbers to sample_app")


async def make_nothing(dsn_owner: str) -> None:
    await execute(dsn_owner, "select 1")


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fetch_count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from numbers"))
    finally:
        await connection.close()
