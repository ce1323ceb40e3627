"""Run the checks and tests of the repository, stage by stage."""

import subprocess
import sys

CHECKS = (["ruff", "format", "--check", "."], ["ruff", "check", "."])


def main() -> int:
    """Run every check, then every test; return the first failure's exit code."""
    for check in CHECKS:
        if code := subprocess.run([sys.executable, "-m", *check], check=False).returncode:
            return code
    return subprocess.run([sys.executable, "-m", "pytest", "libs/contracts"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
