"""How a consumer runs."""

from dataclasses import dataclass
from typing import Final

from servicekit.brokers import Brokers

POLL_S_MIN: Final = 0.025
RECORDS_PER_POLL: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """How a consumer runs.

    A poll that brought fewer than *full_records* is not followed by the next within *poll_s_min*: what a transaction
    costs is shared by all that it applies. *watermarks_topic* tells how complete the topic is; None where nothing does.
    """

    brokers: Brokers
    client_id: str
    watermarks_topic: str | None = None
    records_per_poll_max: int = RECORDS_PER_POLL
    bytes_per_poll_max: int = 16 * 1024 * 1024
    poll_ms: int = 200
    poll_s_min: float = POLL_S_MIN
    full_records: int = 1_000
    session_timeout_ms: int = 10_000
    heartbeat_ms: int = 3_000
    max_poll_interval_ms: int = 60_000
    housekeeping_every_s: float = 1.0
    backoff_s_min: float = 0.1
    backoff_s_max: float = 5.0
