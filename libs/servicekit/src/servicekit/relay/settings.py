"""How a relay runs, and its publisher."""

from dataclasses import dataclass
from typing import Final

from servicekit.brokers import Brokers

LEASE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """Where and how records are published. *schema_base* is the URL below which each type's schema is served."""

    brokers: Brokers
    topic: str
    client_id: str
    schema_base: str
    compression: str = "lz4"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkSettings:
    """Where and how often a relay tells up to where its topic is complete."""

    topic: str
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """How a relay runs, and where what it reads is published; without *watermarks* it writes none.

    An idle relay looks every *idle_s_max*, or every *listening_s_max* where it is notified of what is written. A round
    that published fewer than *full_records* is not followed by the next within *round_s_min*, nor later than an idle
    relay that is not notified looks.
    """

    publisher: PublisherSettings
    lease_s: float
    watermarks: WatermarkSettings | None = None
    move_every_s: float = 0.25
    rows_per_shard_max: int = 1_000
    rows_per_read_max: int = 16_384
    bytes_per_read_max: int = 16 * 1024 * 1024
    idle_s_min: float = 0.002
    idle_s_max: float = 0.050
    listening_s_max: float = 0.5
    round_s_min: float = 0.06
    full_records: int = 1_000
    backoff_s_min: float = 0.1
    backoff_s_max: float = 2.0
    unread_s_min: float = 1.0
    unread_s_max: float = 15.0
    measure_every_s: float = 1.0

    @property
    def renew_every_s(self) -> float:
        """How often leases are renewed: this and a send's deadline together are shorter than a lease."""
        return self.lease_s / 4

    @property
    def send_timeout_s(self) -> float:
        """The deadline of a send."""
        return self.lease_s / 2
