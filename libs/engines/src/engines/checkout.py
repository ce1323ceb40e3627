"""Where things are in this checkout. Nothing is created here, only named."""

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
STATE = ROOT / ".local"
CACHE = STATE / "cache"


RELEASE_DIGITS = 12
"""Of a commit's hash: how releases are called."""


def release() -> str:
    """Return how the commit of this checkout is called as a release, "" where git cannot tell."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", f"--short={RELEASE_DIGITS}", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def unique_name(folder: Path) -> str:
    """Return a name for what belongs to *folder* and is kept elsewhere; no other folder has the same."""
    return f"wallet-platform-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]}"
