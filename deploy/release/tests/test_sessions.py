"""Whose sessions are of an older release, at a real database."""

import asyncpg
import pytest

from local_stack.processes import Database as Addresses
from local_stack.services import Service
from release.domain.moves import PORT_SHIFT, Record, Refused, Release, decide_contract
from release.sessions import of_other_releases
from testkit.databases import Database, Server, TemplateDatabase, migrated_template

pytestmark = pytest.mark.integration

SAMPLE = Service(name="sample", migrate=(), processes=())
NEW = Release(name="new", commit="1" * 40, shift=PORT_SHIFT)


@pytest.fixture
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "sample", [])


async def test_sessions_of_processes_are_old_unless_they_are_called_by_the_release(database: Database) -> None:
    wanted = {
        "sample-api@new": database.dsn_app,
        "sample-api@old": database.dsn_app,
        "sample-reads": database.dsn_reader,
    }
    sessions = [await asyncpg.connect(dsn, server_settings={"application_name": name}) for name, dsn in wanted.items()]
    tool = await asyncpg.connect(database.dsn_owner, server_settings={"application_name": "psql"})

    at = Addresses(app=database.dsn_app, reader=database.dsn_reader, owner=database.dsn_owner)
    found = await of_other_releases(SAMPLE, at, NEW.name)
    for session in (*sessions, tool):
        await session.close()

    assert sorted(found) == ["sample-api@old", "sample-reads"]
    assert isinstance(decide_contract(Record(stack="1", serving=NEW), found), Refused)
