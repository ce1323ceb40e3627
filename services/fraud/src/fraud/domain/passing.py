"""Wallets that a run of events only moves on: no rule looks at what happened to them."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from fraud.domain.observed import Observed, Other


class Passage(msgspec.Struct, frozen=True):
    """What a run of events changes of a wallet's profile: its version, from *before_version*, and its newest time."""

    wallet_id: UUID
    tenant_id: UUID
    before_version: int
    version: int
    at_us: int


def passages(observed: Iterable[Observed]) -> list[Passage]:
    """Return the passages of the wallets whose events follow each other and are looked at by no rule.

    They come in one order for all. The other wallets need their profiles, to be judged or to be told what does not fit.
    """
    by_wallet: dict[UUID, list[Observed]] = {}
    for event in observed:
        by_wallet.setdefault(event.wallet_id, []).append(event)
    return [_passage(events) for _, events in sorted(by_wallet.items()) if _is_passed(events)]


def _is_passed(events: list[Observed]) -> bool:
    first = events[0]
    return all(
        isinstance(event.what, Other) and event.tenant_id == first.tenant_id and event.version == first.version + number
        for number, event in enumerate(events)
    )


def _passage(events: list[Observed]) -> Passage:
    first, last = events[0], events[-1]
    at_us = max(event.at_us for event in events)
    return Passage(first.wallet_id, first.tenant_id, first.version - 1, last.version, at_us)
