"""A wallet's profile, and the fold that makes it from the wallet's events in the order of their versions."""

from typing import Final, assert_never
from uuid import UUID

import msgspec

from contracts.events import Restriction
from fraud.domain.observed import Debited, Kind, Observed, Opened, Other, RestrictionsSet
from fraud.domain.track import NOTHING, Track, debited, restarted

SOURCE: Final = "fraud"
"""The source of the restrictions that decisions of this service set."""


class Contradiction(Exception):
    """The event does not fit what is known: a version that does not follow, a wallet that nobody opened."""


class Profile(msgspec.Struct, frozen=True):
    """A wallet as its events tell.

    *quiet* has, by rule, until when it does not fire again; times are microseconds since 1970.
    """

    wallet_id: UUID
    tenant_id: UUID
    owner_id: str
    currency: str
    version: int
    last_at_us: int
    tracks: dict[Kind, Track]
    restrictions: list[Restriction]
    quiet: dict[str, int]

    def track(self, kind: Kind) -> Track:
        """Return the debits of *kind*."""
        return self.tracks.get(kind, NOTHING)

    def with_quiet(self, quiet: dict[str, int]) -> "Profile":
        """Return the profile with other rules quiet."""
        return msgspec.structs.replace(self, quiet=quiet)


def fold(profile: Profile | None, event: Observed) -> Profile:
    """Return the wallet's profile after *event*; *profile* is None for a wallet not known yet. Raises Contradiction."""
    what = event.what
    if isinstance(what, Opened):
        return _opened(profile, event, what)
    known = _next(profile, event)
    match what:
        case Debited():
            if what.amount_minor <= 0:
                raise Contradiction("a debit of nothing")
            track = debited(known.track(what.kind), _at_us(known, event), what.amount_minor)
            return _moved(known, event, tracks={**known.tracks, what.kind: track})
        case RestrictionsSet():
            return _restricted(known, event, what)
        case Other():
            return _moved(known, event)
        case _:
            assert_never(what)


def _next(profile: Profile | None, event: Observed) -> Profile:
    """Return *profile* where *event* is its next one."""
    if profile is None:
        raise Contradiction("the wallet was never opened")
    if profile.tenant_id != event.tenant_id:
        raise Contradiction("the wallet is another tenant's")
    if event.version != profile.version + 1:
        raise Contradiction(f"version {event.version} does not follow {profile.version}")
    return profile


def _opened(profile: Profile | None, event: Observed, what: Opened) -> Profile:
    if profile is not None:
        raise Contradiction("the wallet was opened before")
    if event.version != 1:
        raise Contradiction(f"version {event.version} opens no wallet")
    return Profile(event.wallet_id, event.tenant_id, what.owner_id, what.currency, 1, event.at_us, {}, [], {})


def _restricted(profile: Profile, event: Observed, what: RestrictionsSet) -> Profile:
    """Begin anew where somebody lifted a restriction and none of this service's is left.

    Windows and cool-downs start empty: what was judged before is not judged again, a new burst is.
    """
    restrictions = list(what.restrictions)
    if not what.is_lifted or any(each.source == SOURCE for each in restrictions):
        return _moved(profile, event, restrictions=restrictions)
    tracks = {kind: restarted(track) for kind, track in profile.tracks.items()}
    return _moved(profile, event, restrictions=restrictions, tracks=tracks, quiet={})


def _at_us(profile: Profile, event: Observed) -> int:
    """Return the event's time, never earlier than the wallet's last: windows stand on ascending times."""
    return max(event.at_us, profile.last_at_us)


def _moved(
    profile: Profile,
    event: Observed,
    *,
    tracks: dict[Kind, Track] | None = None,
    restrictions: list[Restriction] | None = None,
    quiet: dict[str, int] | None = None,
) -> Profile:
    """Return *profile* one version on, with what is given replaced."""
    return Profile(
        profile.wallet_id,
        profile.tenant_id,
        profile.owner_id,
        profile.currency,
        profile.version + 1,
        _at_us(profile, event),
        profile.tracks if tracks is None else tracks,
        profile.restrictions if restrictions is None else restrictions,
        profile.quiet if quiet is None else quiet,
    )
