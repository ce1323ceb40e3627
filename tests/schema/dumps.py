"""A service's whole schema in force, as text: what its migrations and functions make of an empty database."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.openapi.targets import Target

from engines import accounts, postgres
from engines.databases import app_role, reader_role
from servicekit.migrations import APP_ROLE, READER_ROLE
from testkit.databases import Database

ROOT: Final = Path(__file__).parents[2]
DUMP_S_MAX: Final = 60
# Partitions come and go by themselves; each is like the table it is a part of.
_PARTITIONS: Final = "wallet.journal_[0-9]*"
_TOKEN: Final = re.compile(
    r"(?P<quoted>(\$\w*\$).*?\2|'[^']*'|\"[^\"]*\")|(?P<comment>--[^\n]*)|[^$'\"-]+|.", re.DOTALL
)
_SESSION: Final = re.compile(r"^(?:set |select pg_catalog\.set_config|\\(?:un)?restrict ).*\n", re.MULTILINE)
_HEADING: Final = (
    "-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.\n"
)


def schema_file(target: Target) -> Path:
    """Return where the service's schema stands."""
    return ROOT / "services" / target.service.slug / "sql" / "schema.sql"


def schema_of(target: Target, database: Database) -> str:
    """Return the text of the schema of *database*, a migrated one of the service's; the same schema, the same text."""
    pg_dump = postgres.find_binaries(accounts.unprivileged_account()) / "pg_dump"
    argv = (pg_dump, "--schema-only", "--no-owner", "--exclude-table", _PARTITIONS, database.dsn_owner)
    dumped = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=DUMP_S_MAX).stdout
    service = target.service.name
    return as_ours(dumped, {app_role(service): APP_ROLE, reader_role(service): READER_ROLE})


def as_ours(dumped: str, roles: Mapping[str, str]) -> str:
    """Return what pg_dump wrote in lower case, without its comments and settings, the roles named as in migrations."""
    text = _SESSION.sub("", "".join(map(_lowered, _TOKEN.finditer(dumped))))
    for role, placeholder in roles.items():
        text = re.sub(rf"\bto {re.escape(role)}\b", f"to {placeholder}", text)
    return _HEADING + "\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _lowered(token: re.Match[str]) -> str:
    if token["comment"] is not None:
        return ""
    return token["quoted"] or token[0].lower().expandtabs(4)
