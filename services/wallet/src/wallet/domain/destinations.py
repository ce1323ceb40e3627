"""An amount shared out among payees: fixed amounts first, shares of what they leave, and one that gets the rest."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from wallet.domain.outcomes import RefusalCode

PPM: Final = 1_000_000
"""Parts per million: all of what the fixed amounts leave."""
DESTINATIONS_MAX: Final = 100


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a part goes: to *wallet_id*, or out where that is None.

    How much is *amount_minor*, or *share_ppm* parts in a million of what the fixed amounts leave; the rest, where both
    are None.
    """

    wallet_id: UUID | None = None
    amount_minor: int | None = None
    share_ppm: int | None = None


def share_out(amount_minor: int, destinations: Sequence[Destination]) -> Sequence[int] | RefusalCode:
    """Return how much each of *destinations* gets of *amount_minor*, which is all of it, each at least one unit.

    Shares are rounded down. What their rounding leaves goes to whoever gets the rest; without one, where the shares are
    of everything, one unit each to the first of them. Returns DISTRIBUTION_MISMATCH where the amounts are too much or
    leave something to nobody, and where there are two rests; SHARE_TOO_SMALL where a share comes to nothing.
    """
    fixed_minor = sum(each.amount_minor or 0 for each in destinations)
    left_minor = amount_minor - fixed_minor
    shares = [index for index, each in enumerate(destinations) if each.share_ppm is not None]
    rests = [index for index, each in enumerate(destinations) if each.amount_minor is None and each.share_ppm is None]
    shared_ppm = sum(each.share_ppm or 0 for each in destinations)
    if left_minor < 0 or len(rests) > 1 or shared_ppm > PPM:
        return RefusalCode.DISTRIBUTION_MISMATCH
    parts = [
        left_minor * each.share_ppm // PPM if each.share_ppm is not None else each.amount_minor or 0
        for each in destinations
    ]
    over_minor = amount_minor - sum(parts)
    if rests:
        parts[rests[0]] = over_minor
    elif shares and shared_ppm == PPM:
        for index in shares[:over_minor]:
            parts[index] += 1
    elif over_minor:
        return RefusalCode.DISTRIBUTION_MISMATCH
    if min(parts) > 0:
        return parts
    return RefusalCode.SHARE_TOO_SMALL
