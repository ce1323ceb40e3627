"""A wallet's row derived from its journal: what archiving leaves behind, and what a rebuild compares with."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from contracts import events
from contracts.events import Private, RestrictionsChanged, WalletOpened, parse_data
from contracts.money import parse_signed_minor
from wallet.application.private import write_private
from wallet.domain.wallets import FRAUD, Restriction, RestrictionScope, Wallet, WalletStatus


class JournalBreachError(Exception):
    """The journal contradicts itself; the message names where."""


class JournalEvent(NamedTuple):
    """What a wallet's own journal row says. *payload* is None for an entry, whose columns say all."""

    seq: int
    tenant_id: UUID
    account_id: UUID
    version: int
    type: int
    currency: str
    posted_delta: int
    held_delta: int
    posted_after: int
    held_after: int
    occurred_at: datetime
    payload: bytes | None


def fold(before: Wallet | None, event: JournalEvent) -> Wallet:
    """Return the wallet after *event*, *before* being what the events before it made; raises JournalBreachError."""
    after = _opened(event) if before is None else _moved(before, event)
    if (after.version, after.posted_minor, after.held_minor) != (event.version, event.posted_after, event.held_after):
        raise JournalBreachError(
            f"wallet {event.account_id}: version {event.version} says {event.posted_after} posted and "
            f"{event.held_after} held, its journal makes version {after.version}, {after.posted_minor} and "
            f"{after.held_minor}"
        )
    return after


def _opened(event: JournalEvent) -> Wallet:
    if event.type != events.OPENED.number:
        raise JournalBreachError(f"wallet {event.account_id}: version {event.version} comes before its opening")
    data = parse_data(events.OPENED.name, event.payload or b"")
    assert isinstance(data, WalletOpened)
    return Wallet(
        id=event.account_id,
        tenant_id=event.tenant_id,
        owner_id=data.owner_id,
        currency=event.currency,
        status=WalletStatus.OPEN,
        restrictions=(),
        posted_minor=0,
        held_minor=0,
        overdraft_limit_minor=parse_signed_minor(data.overdraft_limit),
        version=1,
        opened_at=event.occurred_at,
        last_at=event.occurred_at,
        private=write_private(data.private),
        operator_version=0,
    )


def _moved(before: Wallet, event: JournalEvent) -> Wallet:
    after = replace(
        before,
        version=before.version + 1,
        posted_minor=before.posted_minor + event.posted_delta,
        held_minor=before.held_minor + event.held_delta,
        last_at=event.occurred_at,
    )
    change = _STATE_CHANGES.get(event.type)
    return after if change is None else change(after, event)


def _restricted(wallet: Wallet, event: JournalEvent) -> Wallet:
    """Take over who restricts the wallet now; the reason stands apart, with the event that set it."""
    name = events.RESTRICTED.name if event.type == events.RESTRICTED.number else events.UNRESTRICTED.name
    data = parse_data(name, event.payload or b"")
    assert isinstance(data, RestrictionsChanged)
    is_fraud = event.type == events.RESTRICTED.number and data.source == FRAUD
    reasons = {restriction.source: restriction.reason for restriction in wallet.restrictions}
    if event.type == events.RESTRICTED.number:
        reasons[data.source] = _reason(data.private)
    return replace(
        wallet,
        restrictions=tuple(
            Restriction(told.source, _scope(told.scope), reasons.get(told.source, "")) for told in data.restrictions
        ),
        operator_version=wallet.operator_version if is_fraud else event.version,
    )


def _reason(private: Private | None) -> str:
    return "" if private is None or private.reason is None else private.reason


def _scope(text: str) -> RestrictionScope:
    return "all" if text == "all" else "debits"


def _reopened(_wallet: Wallet, event: JournalEvent) -> Wallet:
    raise JournalBreachError(f"wallet {event.account_id}: opened again at version {event.version}")


_STATE_CHANGES: Final[dict[int, Callable[[Wallet, JournalEvent], Wallet]]] = {
    events.OPENED.number: _reopened,
    events.RESTRICTED.number: _restricted,
    events.UNRESTRICTED.number: _restricted,
    events.CLOSED.number: lambda wallet, _event: replace(wallet, status=WalletStatus.CLOSED),
}
