"""Where things are in this checkout. Nothing is created here, only named."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
STATE = ROOT / ".local"
CACHE = STATE / "cache"


def unique_name(folder: Path) -> str:
    """Return a name for what belongs to *folder* and is kept elsewhere; no other folder has the same."""
    return f"wallet-platform-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]}"
