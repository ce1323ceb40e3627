"""Each service's app role may do what its processes need and no more, and a process in production makes sure of it."""

import secrets
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Final

import asyncpg
import pytest
from tests.openapi.services import TARGETS
from tests.openapi.targets import Target

from servicekit.service import Service
from servicekit.service.processes import open_process
from servicekit.service.unsafe_role import UnsafeRoleError, refuse_unsafe_role
from servicekit.settings import Mode, ServiceSettings
from testkit.databases import Database, Server, migrated_template
from wallet.bootstrap import SERVICE, migration_sources

pytestmark = pytest.mark.integration

_PARTITION: Final = "select min(inhrelid::regclass::text) from pg_inherits where inhparent = 'wallet.journal'::regclass"


def service_of(target: Target) -> Service:
    """Return the service as its processes name it."""
    bootstrap: Any = import_module(f"{target.service.name}.bootstrap")
    service: Service = bootstrap.SERVICE
    return service


@pytest.fixture
async def database(postgres_server: Server) -> AsyncIterator[Database]:
    """Give a ledger."""
    template = migrated_template(postgres_server, "wallet", migration_sources())
    async with template.database() as made:
        yield made
    await template.drop()


async def executed(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def refuse(dsn: str) -> None:
    """Refuse the wallet's role as its processes do."""
    await refuse_unsafe_role(dsn, application="probe", journals=SERVICE.journals)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.service.slug)
async def test_the_role_of_each_service_is_taken_and_its_owner_is_not(postgres_server: Server, target: Target) -> None:
    service = service_of(target)
    template = migrated_template(postgres_server, service.name, target.migrations())
    async with template.database() as database:
        await refuse_unsafe_role(database.dsn_app, application="probe", journals=service.journals)
        with pytest.raises(UnsafeRoleError, match="owns what is in the database"):
            await refuse_unsafe_role(database.dsn_owner, application="probe", journals=service.journals)
    await template.drop()


async def test_a_superuser_is_refused(database: Database) -> None:
    with pytest.raises(UnsafeRoleError, match="is a superuser"):
        await refuse(database.dsn_admin)


async def test_a_member_of_the_owner_is_refused(database: Database, postgres_server: Server) -> None:
    role = f"probe_{secrets.token_hex(4)}"
    await executed(
        database.dsn_admin,
        f"create role {role} login password 'probe'",
        f"grant wallet_owner to {role}",
        f"grant connect on database {database.name} to {role}",
    )
    try:
        with pytest.raises(UnsafeRoleError, match="owns what is in the database"):
            await refuse(postgres_server.dsn(database.name, role, "probe"))
    finally:
        await executed(database.dsn_admin, f"drop owned by {role}", f"drop role {role}")


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ("update on wallet.journal", r"rows of wallet\.journal"),
        ("delete on wallet.journal", r"rows of wallet\.journal"),
        ("truncate on wallet.journal", r"rows of wallet\.journal"),
        ("update (seq) on wallet.journal", r"rows of wallet\.journal"),
        ("delete on wallet.archived_journal", r"rows of wallet\.archived_journal"),
        ("delete on {partition}", r"rows of wallet\.journal_\d+"),
    ],
)
async def test_a_role_that_may_rewrite_the_journal_is_refused(database: Database, right: str, told: str) -> None:
    admin = await asyncpg.connect(database.dsn_admin)
    partition = await admin.fetchval(_PARTITION)
    await admin.close()
    await refuse(database.dsn_app)

    await executed(database.dsn_admin, f"grant {right.format(partition=partition)} to wallet_app")

    with pytest.raises(UnsafeRoleError, match=told):
        await refuse(database.dsn_app)


async def test_a_role_that_may_rewrite_an_outbox_is_refused(postgres_server: Server) -> None:
    target = next(each for each in TARGETS if each.service.name == "access")
    template = migrated_template(postgres_server, "access", target.migrations())
    async with template.database() as database:
        await executed(database.dsn_admin, "grant delete on servicekit.outbox to access_app")
        with pytest.raises(UnsafeRoleError, match=r"rows of servicekit\.outbox"):
            await refuse_unsafe_role(database.dsn_app, application="probe")
    await template.drop()


async def test_a_process_begins_in_production_as_the_app_role_alone(database: Database) -> None:
    production = ServiceSettings(mode=Mode.PRODUCTION)

    async with open_process(production, SERVICE, "probe", dsn=database.dsn_app) as telemetry:
        assert telemetry.process == "probe"
    with pytest.raises(UnsafeRoleError):
        async with open_process(production, SERVICE, "probe", dsn=database.dsn_owner):
            pass
    async with open_process(ServiceSettings(), SERVICE, "probe", dsn=database.dsn_owner):
        pass
