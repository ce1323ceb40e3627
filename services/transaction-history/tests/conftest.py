"""What the databases of the tests are made from."""

import pytest

from testkit.databases import Server, TemplateDatabase, migrated_template
from transaction_history import bootstrap


@pytest.fixture(scope="session")
def database_template(postgres_server: Server) -> TemplateDatabase:
    return migrated_template(postgres_server, "transaction_history", bootstrap.migration_sources())
