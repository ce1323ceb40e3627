"""What the databases of the tests are made from."""

import pytest

from fraud import bootstrap
from testkit.databases import Server, TemplateDatabase, migrated_template


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "fraud", bootstrap.migration_sources())
