"""Operators see and repair how identities are projected, in every service that projects them."""

import asyncio

import asyncpg
import pytest
from typer import Typer
from typer.testing import CliRunner

from contracts.ids import new_id, shard_of
from servicekit.access.projection import access_source
from servicekit.cli import add_identities, identities_of
from servicekit.consumer import consumer_source
from servicekit.migrations import servicekit_source
from servicekit.settings import ServiceSettings
from testkit.databases import Server, migrated_template

pytestmark = pytest.mark.integration


async def test_the_projection_of_identities_is_shown_by_its_name(postgres_server: Server) -> None:
    template = migrated_template(postgres_server, "test", [servicekit_source(), consumer_source(), access_source()])
    async with template.database() as database:
        operated = identities_of(ServiceSettings(), dsn=database.dsn_app, service="test")
        cli = Typer()
        add_identities(cli, lambda: operated)

        assert operated.name == "test-access"
        async with operated.open_projection() as projection:
            assert (projection.name, projection.topic) == ("test-access", "access.events")
        assert CliRunner().invoke(cli, ["identities", "--help"]).exit_code == 0
    await template.drop()


async def test_what_would_be_done_is_told_and_is_not(postgres_server: Server) -> None:
    template = migrated_template(postgres_server, "test", [servicekit_source(), consumer_source(), access_source()])
    subject = new_id()
    async with template.database() as database:
        operated = identities_of(ServiceSettings(), dsn=database.dsn_app, service="test")
        cli = Typer()
        add_identities(cli, lambda: operated)
        connection = await asyncpg.connect(database.dsn_app)
        await connection.execute(
            "insert into servicekit.checkpoint (projection, shard, topic_partition, kafka_offset) values ($1, 5, 5, 9)",
            operated.name,
        )
        await connection.execute(
            """insert into servicekit.parked_subject (projection, subject, shard, seq, reason, events)
               values ($1, $2, $3, 1, 'unreadable', 3)""",
            operated.name,
            subject,
            shard_of(subject),
        )

        async def told(*words: str) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, cli, ["identities", *words])
            assert done.exit_code == 0, done.output
            return done.output.strip()

        sought = "select seek_to from servicekit.checkpoint"
        assert await told("rewind", "--shard", "5", "--dry-run") == (
            "partition 5 would be read again from 0, it is at 9"
        )
        assert await connection.fetchval(sought) is None
        await told("rewind", "--shard", "5")
        assert await connection.fetchval(sought) == 0
        assert await told("unpark", "--subject", str(subject), "--dry-run") == "3 events would be applied"
        assert await connection.fetchval("select count(*) from servicekit.parked_subject") == 1
        await connection.close()
    await template.drop()
