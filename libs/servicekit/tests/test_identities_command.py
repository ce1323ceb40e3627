"""Operators see and repair how identities are projected, in every service that projects them."""

import pytest
from typer import Typer
from typer.testing import CliRunner

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
