"""Write what every service serves as `/openapi.json` to `docs/openapi/`: `python -m tests.openapi`."""

import json

import httpx2
from tests.openapi.services import TARGETS

from engines import accounts, temporary
from engines.postgres import VOLATILE
from testkit.databases import Server


def main() -> None:
    """Serve each service on a database of its own and write its document."""
    with (
        temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder,
        temporary.running_postgres(folder, settings=VOLATILE) as postgres,
    ):
        for target in TARGETS:
            with target.running(Server(postgres.admin_dsn)) as (url, _):
                document = httpx2.get(f"{url}/openapi.json").json()
            target.document.parent.mkdir(exist_ok=True)
            target.document.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
