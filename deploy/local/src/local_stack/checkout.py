"""Where things stand in this checkout. Nothing is made here, only named."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
DEPLOY = ROOT / "deploy" / "local"
STATE = ROOT / ".local"
CACHE = STATE / "cache"
LOGS = STATE / "logs"


def checkout_name() -> str:
    """Return a folder name that no other checkout on this machine has."""
    return f"wallet-platform-{hashlib.sha256(bytes(ROOT)).hexdigest()[:12]}"
