"""How often an endpoint may be tested, recovered and resumed. Pure."""

from datetime import datetime, timedelta
from typing import Final

INTERVAL: Final = timedelta(seconds=6)
"""What one command costs: in the long run there is one per interval."""
BURST: Final = 10
"""So many may come at once."""


def pay(paid_until: datetime | None, *, now: datetime) -> datetime | timedelta:
    """Return until when an endpoint's commands are paid for with one more, or how long to wait until there may be one.

    The generic cell rate algorithm: *paid_until* is what the commands before come to, None where there was none.
    """
    ahead = max(now, paid_until or now) - now
    wait = ahead - INTERVAL * (BURST - 1)
    return wait if wait > timedelta(0) else now + ahead + INTERVAL
