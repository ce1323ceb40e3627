"""Runs pip-audit over a lock."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.supply.auditing import Judgement, Unknown, judge

AUDITED_WITHIN_S: Final = 900


def audited(lock: Path, service: str, osv_url: str | None) -> Judgement:
    """Return what *service*, `pypi` or `osv`, knows about the packages of *lock*; *osv_url* is where else `osv` is."""
    argv = [
        sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--requirement", str(lock),
        "--format", "json", "--progress-spinner", "off", "--vulnerability-service", service,
        *([] if osv_url is None else ["--osv-url", osv_url]),
    ]  # fmt: skip
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=AUDITED_WITHIN_S)
    except subprocess.TimeoutExpired:
        return Unknown(f"the advisory service took more than {AUDITED_WITHIN_S} s")
    return judge(lock.read_text(), done.stdout, done.stderr)
