"""Wallets whose version alone a run of events changes: no rule looks at such events."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from fraud.domain.wallet_events import Other, WalletEvent


class VersionAdvance(msgspec.Struct, frozen=True):
    """What a run of events changes of a wallet's profile: its version, from *before_version*, and its newest time."""

    wallet_id: UUID
    tenant_id: UUID
    before_version: int
    version: int
    at_us: int


def version_advances(events: Iterable[WalletEvent]) -> list[VersionAdvance]:
    """Return an advance for each wallet whose events follow each other and are looked at by no rule, by wallet id.

    The events of the other wallets need their profiles: to be judged, or for the error that names what does not fit.
    """
    by_wallet: dict[UUID, list[WalletEvent]] = {}
    for event in events:
        by_wallet.setdefault(event.wallet_id, []).append(event)
    return [_advance(own) for _, own in sorted(by_wallet.items()) if _only_advances(own)]


def _only_advances(events: list[WalletEvent]) -> bool:
    first = events[0]
    return all(
        isinstance(event.payload, Other)
        and event.tenant_id == first.tenant_id
        and event.version == first.version + number
        for number, event in enumerate(events)
    )


def _advance(events: list[WalletEvent]) -> VersionAdvance:
    first, last = events[0], events[-1]
    at_us = max(event.at_us for event in events)
    return VersionAdvance(first.wallet_id, first.tenant_id, first.version - 1, last.version, at_us)
