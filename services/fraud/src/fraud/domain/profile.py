"""A wallet's profile, and the fold that makes it from the wallet's events in the order of their versions."""

from typing import Final, assert_never
from uuid import UUID

import msgspec

from contracts.events import Restriction
from fraud.domain.debit_stats import NO_DEBITS, DebitStats, restarted, with_debit
from fraud.domain.wallet_events import Debited, Kind, Opened, Other, RestrictionsSet, WalletEvent

SOURCE: Final = "fraud"
"""The source of the restrictions that decisions of this service set."""


class Contradiction(Exception):
    """The event does not fit the profile: a version that does not follow, a wallet that nobody opened."""


class Profile(msgspec.Struct, frozen=True):
    """The state of a wallet that its events add up to.

    *cool_downs* has, by rule, when it may fire again; times are microseconds since 1970.
    """

    wallet_id: UUID
    tenant_id: UUID
    owner_id: str
    currency: str
    version: int
    last_at_us: int
    debits: dict[Kind, DebitStats]
    restrictions: list[Restriction]
    cool_downs: dict[str, int]

    def stats(self, kind: Kind) -> DebitStats:
        """Return the totals and the points of the debits of *kind*."""
        return self.debits.get(kind, NO_DEBITS)

    def with_cool_downs(self, cool_downs: dict[str, int]) -> "Profile":
        """Return the profile with *cool_downs* in place of its own."""
        return msgspec.structs.replace(self, cool_downs=cool_downs)


def fold(profile: Profile | None, event: WalletEvent) -> Profile:
    """Return the wallet's profile after *event*; *profile* is None for a wallet not known yet. Raises Contradiction."""
    payload = event.payload
    if isinstance(payload, Opened):
        return _opened(profile, event, payload)
    known = _next(profile, event)
    match payload:
        case Debited():
            if payload.amount_minor <= 0:
                raise Contradiction("a debit of nothing")
            stats = with_debit(known.stats(payload.kind), _at_us(known, event), payload.amount_minor)
            return _advanced(known, event, debits={**known.debits, payload.kind: stats})
        case RestrictionsSet():
            return _restricted(known, event, payload)
        case Other():
            return _advanced(known, event)
        case _:
            assert_never(payload)


def _next(profile: Profile | None, event: WalletEvent) -> Profile:
    """Return *profile* where *event* is its next one."""
    if profile is None:
        raise Contradiction("the wallet was never opened")
    if profile.tenant_id != event.tenant_id:
        raise Contradiction("the wallet is another tenant's")
    if event.version != profile.version + 1:
        raise Contradiction(f"version {event.version} does not follow {profile.version}")
    return profile


def _opened(profile: Profile | None, event: WalletEvent, payload: Opened) -> Profile:
    if profile is not None:
        raise Contradiction("the wallet was opened before")
    if event.version != 1:
        raise Contradiction(f"version {event.version} opens no wallet")
    return Profile(event.wallet_id, event.tenant_id, payload.owner_id, payload.currency, 1, event.at_us, {}, [], {})


def _restricted(profile: Profile, event: WalletEvent, payload: RestrictionsSet) -> Profile:
    """Begin anew where somebody lifted a restriction and none of this service's is left.

    Windows and cool-downs start empty: what was judged before is not judged again, a new burst is.
    """
    restrictions = list(payload.restrictions)
    if not payload.is_lifted or any(each.source == SOURCE for each in restrictions):
        return _advanced(profile, event, restrictions=restrictions)
    debits = {kind: restarted(stats) for kind, stats in profile.debits.items()}
    return _advanced(profile, event, restrictions=restrictions, debits=debits, cool_downs={})


def _at_us(profile: Profile, event: WalletEvent) -> int:
    """Return the event's time, never earlier than the wallet's last: windows need ascending times."""
    return max(event.at_us, profile.last_at_us)


def _advanced(
    profile: Profile,
    event: WalletEvent,
    *,
    debits: dict[Kind, DebitStats] | None = None,
    restrictions: list[Restriction] | None = None,
    cool_downs: dict[str, int] | None = None,
) -> Profile:
    """Return *profile* one version on, with what is given replaced."""
    return Profile(
        profile.wallet_id,
        profile.tenant_id,
        profile.owner_id,
        profile.currency,
        profile.version + 1,
        _at_us(profile, event),
        profile.debits if debits is None else debits,
        profile.restrictions if restrictions is None else restrictions,
        profile.cool_downs if cool_downs is None else cool_downs,
    )
