"""The ACLs in deploy/kafka/acls, on a real broker with SASL: each service reaches its own topics, and no other."""

import argparse
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it lists none of its names
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from contracts.topics import (
    ACCESS_EVENTS,
    FRAUD_DECISIONS,
    HISTORY_EVENTS,
    NOTIFICATIONS_EVENTS,
    TOPICS,
    WALLET_EVENTS,
    WALLET_WATERMARKS,
)
from engines import temporary, topics
from engines.kafka import KafkaBroker
from fraud.projection.projection import PROJECTION
from notifications.deliveries.projection import NAME
from servicekit.access.projection import access_projection_name
from servicekit.brokers import Brokers, KafkaProtocol
from servicekit.relay.topic_end import read_topic_ends
from servicekit.relay.topic_positions import count_partitions
from transaction_history.indexing.projection import INDEX
from transaction_history.projection.read_model_postgres import SCHEMA
from wallet.fraud_restrictions.projection import FraudRestrictions

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "kafka" / "acls"
WRITES: Final = {
    "wallet": {WALLET_EVENTS.name, WALLET_WATERMARKS.name},
    "transaction-history": {HISTORY_EVENTS.name},
    "notifications": {NOTIFICATIONS_EVENTS.name},
    "fraud": {FRAUD_DECISIONS.name},
    "access": {ACCESS_EVENTS.name},
}
READS: Final = {
    "wallet": {WALLET_EVENTS.name, FRAUD_DECISIONS.name, ACCESS_EVENTS.name},
    "transaction-history": {WALLET_EVENTS.name, WALLET_WATERMARKS.name, HISTORY_EVENTS.name, ACCESS_EVENTS.name},
    "notifications": {WALLET_EVENTS.name, WALLET_WATERMARKS.name, NOTIFICATIONS_EVENTS.name, ACCESS_EVENTS.name},
    "fraud": {WALLET_EVENTS.name, WALLET_WATERMARKS.name, FRAUD_DECISIONS.name, ACCESS_EVENTS.name},
    "access": {ACCESS_EVENTS.name},
}
GROUPS: Final = {
    "wallet": {FraudRestrictions.name, access_projection_name("wallet")},
    "transaction-history": {SCHEMA, INDEX, access_projection_name("transaction-history")},
    "notifications": {NAME, access_projection_name("notifications")},
    "fraud": {PROJECTION, access_projection_name("fraud")},
    "access": set[str](),
}
USERS: Final = sorted(WRITES)
TOPIC_NAMES: Final = [topic.name for topic in TOPICS]
OPERATIONS: Final = {"Read": AclOperation.READ, "Write": AclOperation.WRITE}

each_user = pytest.mark.parametrize("user", USERS)


def lines_of(user: str) -> list[str]:
    """Return the lines of a service's file that are no comments."""
    lines = (FOLDER / f"{user}.acls").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def parsed(line: str) -> argparse.Namespace:
    """Return a line as kafka-acls.sh reads it: each operation on each of its topics or groups."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--allow-principal", required=True)
    for option in ("--operation", "--topic", "--group"):
        parser.add_argument(option, action="append", default=[])
    return parser.parse_args(line.split())


def bindings_of(line: str) -> Iterator[AclBinding]:
    """Yield what a line allows."""
    allowed = parsed(line)
    for kind, names in ((ResourceType.TOPIC, allowed.topic), (ResourceType.GROUP, allowed.group)):
        for name, operation in product(names, allowed.operation):
            yield AclBinding(
                kind,
                name,
                ResourcePatternType.LITERAL,
                allowed.allow_principal,
                "*",
                OPERATIONS[operation],
                AclPermissionType.ALLOW,
            )


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    """Give each service its password."""
    return {user: secrets.token_hex(8) for user in USERS}


@pytest.fixture(scope="module")
def guarded(run_folder: Path, passwords: dict[str, str]) -> Iterator[KafkaBroker]:
    """Give a broker that knows the services, with the ACLs of their files."""
    with temporary.running_kafka(run_folder, name="kafka-acls", users=passwords) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 3})
        bindings = [binding for user in USERS for line in lines_of(user) for binding in bindings_of(line)]
        for made in admin.create_acls(bindings, request_timeout=30).values():
            made.result()
        yield broker


@pytest.fixture
async def broker(guarded: KafkaBroker) -> KafkaBroker:
    """Give the broker with every topic."""
    await topics.ensure_topics(guarded.bootstrap_servers, TOPICS)
    return guarded


def reached_by(user: str, password: str, broker: KafkaBroker) -> Brokers:
    """Return how *user* reaches the broker."""
    assert broker.sasl is not None
    return Brokers(broker.sasl.address, protocol=KafkaProtocol.SASL_PLAINTEXT, username=user, password=password)


async def is_written(brokers: Brokers, topic: str) -> bool:
    """Write a record as a relay does; return whether the broker took it."""
    producer = AIOKafkaProducer(**brokers.client(), enable_idempotence=True, acks="all")
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", key=b"0", partition=0)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):  # the latter: it may write nowhere
        return False
    finally:
        await producer.stop()
    return True


async def is_read(brokers: Brokers, topic: str, group: str | None) -> bool:
    """Read a topic's records, as a member of *group* where one is given; return whether the broker allowed it."""
    consumer = AIOKafkaConsumer(
        topic, **brokers.client(), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        await consumer.getmany(timeout_ms=100)
        if group is not None:
            for part in consumer.assignment():
                await consumer.committed(part)
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
        return False
    finally:
        await consumer.stop()
    return True


@each_user
async def test_a_service_writes_its_own_topic_alone(user: str, broker: KafkaBroker, passwords: dict[str, str]) -> None:
    brokers = reached_by(user, passwords[user], broker)

    written = {topic for topic in TOPIC_NAMES if await is_written(brokers, topic)}

    assert written == WRITES[user]


@each_user
async def test_a_service_reads_what_it_projects_and_what_it_wrote(
    user: str, broker: KafkaBroker, passwords: dict[str, str]
) -> None:
    brokers = reached_by(user, passwords[user], broker)

    read = {topic for topic in TOPIC_NAMES if await is_read(brokers, topic, None)}

    assert read == READS[user]


@each_user
async def test_a_service_is_a_member_of_its_own_groups_alone(
    user: str, broker: KafkaBroker, passwords: dict[str, str]
) -> None:
    brokers = reached_by(user, passwords[user], broker)
    groups = sorted(set().union(*GROUPS.values()))

    joined = {group for group in groups if await is_read(brokers, ACCESS_EVENTS.name, group)}

    assert joined == GROUPS[user]


async def test_a_relay_finds_its_topic_and_where_it_ends(broker: KafkaBroker, passwords: dict[str, str]) -> None:
    brokers = reached_by("wallet", passwords["wallet"], broker)

    assert await count_partitions(brokers, WALLET_EVENTS.name) == WALLET_EVENTS.partitions
    assert await read_topic_ends(brokers, WALLET_EVENTS.name, {1: {1}}) == ([], set())


async def test_who_has_another_password_is_nobody(broker: KafkaBroker, passwords: dict[str, str]) -> None:
    brokers = replace(reached_by("wallet", passwords["wallet"], broker), password="another")
    consumer = AIOKafkaConsumer(**brokers.client())

    with pytest.raises(KafkaError):
        await consumer.start()
    await consumer.stop()


@each_user
def test_the_files_name_each_service_with_its_topics_and_groups(user: str) -> None:
    allowed = [parsed(line) for line in lines_of(user)]

    assert {each.allow_principal for each in allowed} == {f"User:{user}"}
    assert {topic for each in allowed for topic in each.topic if "Write" in each.operation} == WRITES[user]
    assert {topic for each in allowed for topic in each.topic if "Read" in each.operation} == READS[user]
    assert {group for each in allowed for group in each.group} == GROUPS[user]
    assert sorted(path.stem for path in FOLDER.glob("*.acls")) == USERS


def test_the_script_hands_each_line_to_the_brokers_own_tool(tmp_path: Path) -> None:
    tool, told = tmp_path / "kafka-acls", tmp_path / "told"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    tool.chmod(0o755)
    environment: dict[str, Any] = {**os.environ, "KAFKA_ACLS": str(tool)}

    subprocess.run([FOLDER / "apply.sh", "broker:9093", "admin.properties"], check=True, env=environment)

    given = "--bootstrap-server broker:9093 --command-config admin.properties --add"
    wanted = [f"{given} {line}" for user in USERS for line in lines_of(user)]
    assert sorted(told.read_text().splitlines()) == sorted(wanted)
