"""A tenant's own rates. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

RATES_MAX: Final = 20
PER_S_MAX: Final = 1_000_000
BURST_MAX: Final = 1_000_000

_NAME: Final = re.compile(r"[a-z][a-z_]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """*per_s* units a second on the average, *burst* at once."""

    per_s: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """A tenant's rates by the limit's name; what is not among them has the platform's."""

    tenant_id: UUID
    rates: Mapping[str, Rate]


def is_limit_name(text: str) -> bool:
    """Tell whether a limit may have the name *text*; which of them count for something, the edges know."""
    return _NAME.fullmatch(text) is not None
