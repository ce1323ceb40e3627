"""The engines from a Docker engine, for machines that have one and want it: TESTKIT_ENGINE=docker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"


def are_wanted() -> bool:
    """Return whether the run asks for containers."""
    return os.environ.get("TESTKIT_ENGINE") == "docker"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run the official image and give its superuser's address."""
    from testcontainers.postgres import PostgresContainer  # talks to Docker when imported

    with PostgresContainer(POSTGRES_IMAGE, username="postgres", driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def running_kafka() -> Iterator[str]:
    """Run one KRaft broker and give its address."""
    from testcontainers.kafka import KafkaContainer  # talks to Docker when imported

    with KafkaContainer(KAFKA_IMAGE).with_kraft() as container:
        yield container.get_bootstrap_server()
