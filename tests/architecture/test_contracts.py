"""The contracts of the import linter catch what they were written against, each with an import planted in a copy."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PLANTED: Final = [
    ("fraud/domain/rules.py", "import random", "The core is pure"),
    ("wallet/domain/money.py", "import asyncpg", "The core is pure"),
    ("notifications/domain/schedule.py", "from servicekit.clock import utc_now", "The core is pure"),
    ("contracts/money.py", "import time", "The core is pure"),
    ("wallet/application/committer.py", "import asyncpg", "Drivers are for shells"),
    ("servicekit/health.py", "import aiokafka", "Kafka's client"),
    ("servicekit/settings.py", "import asyncpg", "PostgreSQL's driver"),
    ("fraud/projection/store_postgres.py", "import fastapi", "The web framework"),
    ("servicekit/migrations/functions.py", "import servicekit.http.problems", "What relays, consumes"),
    ("fraud/projection/store_postgres.py", "import wallet.domain.money", "Arrows point from tools"),
    ("wallet/config.py", "import testkit.databases", "Arrows point from tools"),
    ("wallet/application/queue.py", "import wallet.adapters.row_columns", "Inside the wallet"),
    ("notifications/endpoints/queries.py", "import notifications.sending.worker", "Inside the notifications"),
    ("engines/ports.py", "import engines.kafka", "No two rooms"),
]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a copy of every package."""
    folder = tmp_path_factory.mktemp("packages")
    for source in (each for parent in ("libs", "services", "deploy") for each in ROOT.glob(f"{parent}/*/src")):
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def broken_contracts(folder: Path) -> list[str]:
    """Return the names of the contracts that the packages in *folder* break."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts:" in ran.stdout, ran.stdout + ran.stderr
    return re.findall(r"^(.*) BROKEN", ran.stdout, re.MULTILINE)


def test_the_copy_breaks_none(copied: Path) -> None:
    assert broken_contracts(copied) == []


@pytest.mark.parametrize(("file", "line", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(copied: Path, file: str, line: str, contract: str) -> None:
    module = copied / file
    text = module.read_text()
    module.write_text(f"{text}\n{line}\n")
    try:
        broken = broken_contracts(copied)
    finally:
        module.write_text(text)

    assert any(name.startswith(contract) for name in broken), broken
