"""What a checkout has beside a package's sources, the packed one has inside."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from engines import checkout
from local_stack.services import SERVICES

BUILD_S_MAX: Final = 60
PACKED: Final = [(service.name, checkout.ROOT / "services" / service.name.replace("_", "-")) for service in SERVICES]


@pytest.mark.parametrize(("package", "member"), PACKED, ids=[package for package, _ in PACKED])
def test_a_wheel_holds_the_migrations_and_the_functions(package: str, member: Path, tmp_path: Path) -> None:
    argv = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(argv, cwd=member, check=True, capture_output=True, timeout=BUILD_S_MAX)

    (wheel,) = tmp_path.glob("*.whl")
    inside = {
        Path(name).relative_to(package) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(f"{package}/")
    }
    beside = {file.relative_to(member) for folder in ("migrations", "sql") for file in (member / folder).rglob("*.sql")}

    assert beside <= inside
    assert beside
