"""From a profile to its row and back. What no statement looks into is one JSON column: integers of any size fit."""

from typing import Final

import asyncpg
import msgspec

from contracts.events import Restriction
from fraud.domain.debit_stats import DebitStats
from fraud.domain.profile import Profile
from fraud.domain.wallet_events import Kind, from_us, to_us

COLUMNS: Final = ("wallet_id", "tenant_id", "owner_id", "currency", "version", "last_at", "state")


class _State(msgspec.Struct, frozen=True):
    debits: dict[Kind, DebitStats]
    restrictions: list[Restriction]
    cool_downs: dict[str, int]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_State).decode


def state_of(profile: Profile) -> bytes:
    """Return the profile's state column: the same profile always gives the same bytes."""
    return _encode(_State(profile.debits, profile.restrictions, profile.cool_downs))


def row_of(profile: Profile) -> tuple[object, ...]:
    """Return the profile's row, in the order of COLUMNS."""
    return (
        profile.wallet_id,
        profile.tenant_id,
        profile.owner_id,
        profile.currency,
        profile.version,
        from_us(profile.last_at_us),
        state_of(profile),
    )


def profile_from(row: asyncpg.Record) -> Profile:
    """Return the profile in a row that has COLUMNS in their order."""
    wallet_id, tenant_id, owner_id, currency, version, last_at, state = row
    known = _decode(state)
    return Profile(
        wallet_id,
        tenant_id,
        owner_id,
        currency,
        version,
        to_us(last_at),
        known.debits,
        known.restrictions,
        known.cool_downs,
    )
