"""What is kept of the last release in this repository, and how a commit becomes it."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from engines import checkout
from release import commits
from release.domain.released import Released

FOLDER: Final = checkout.ROOT / "deploy" / "release"
PREVIOUS: Final = FOLDER / "previous"
"""The file with the last release's commit."""
RELEASED: Final = FOLDER / "released.json"
_SQL: Final = re.compile(
    r"(?:libs/servicekit/src/servicekit/sql|services/[^/]+/(?:migrations|sql/functions))/(?:.+/)?[a-z0-9_.]+\.sql"
)
_SCHEMA: Final = re.compile(r"libs/contracts/src/contracts/schemas/(?P<type>.+)\.json")


def previous() -> str:
    """Return the last release's commit."""
    return PREVIOUS.read_text().strip()


def released() -> Released:
    """Return what the last release is made of."""
    return msgspec.json.decode(RELEASED.read_bytes(), type=Released)


def sql_files() -> Mapping[str, str]:
    """Return the checksum of each SQL file here, by path from the root."""
    folders = ("libs/servicekit/src/servicekit/sql", "services")
    found = (each for folder in folders for each in (checkout.ROOT / folder).rglob("*.sql"))
    paths = {str(each.relative_to(checkout.ROOT)): each for each in found}
    return {path: _checksum(each.read_bytes()) for path, each in sorted(paths.items()) if _SQL.fullmatch(path)}


def mark(reference: str) -> str:
    """Have the commit that *reference* names be the last release from now on; return it. Raises ReleaseFailed."""
    commit = commits.find(reference)
    paths = commits.paths(commit)
    sql = {path: _checksum(commits.content(commit, path)) for path in paths if _SQL.fullmatch(path)}
    told = Released(
        functions={path: each for path, each in sql.items() if _is_function(path)},
        migrations={path: each for path, each in sql.items() if not _is_function(path)},
        event_types=tuple(found["type"] for path in paths if (found := _SCHEMA.fullmatch(path))),
    )
    RELEASED.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    PREVIOUS.write_text(f"{commit}\n")
    return commit


def _is_function(path: str) -> bool:
    return Path(path).parent.name == "functions"


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
