"""Write what is in force in every service's database to its `sql/schema.sql`: `python -m tests.schema`."""

import asyncio

from tests.openapi.services import TARGETS
from tests.schema.dumps import schema_file, schema_of

from engines import accounts, temporary
from engines.postgres import VOLATILE
from testkit.databases import Server, migrated_template


async def write(server: Server) -> None:
    """Migrate a database of each service, and write down what is there then."""
    for target in TARGETS:
        template = migrated_template(server, target.service.name, target.migrations())
        async with template.database() as database:
            schema_file(target).parent.mkdir(exist_ok=True)
            schema_file(target).write_text(schema_of(target, database))


def main() -> None:
    """Start a server for it, and end it."""
    with (
        temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder,
        temporary.running_postgres(folder, settings=VOLATILE) as postgres,
    ):
        asyncio.run(write(Server(postgres.admin_dsn)))


if __name__ == "__main__":
    main()
