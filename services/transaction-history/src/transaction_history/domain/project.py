"""From events to rows. Pure: the same events in the same order of their shard make the same rows."""

from typing import Final, assert_never
from uuid import UUID

import msgspec

from contracts.envelope import Envelope
from contracts.events import (
    DetailsChanged,
    EntryPosted,
    EventData,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
    LimitsChanged,
    OverdraftChanged,
    OwnerChanged,
    PolicyChanged,
    Private,
    RefundPosted,
    RestrictionsChanged,
    SystemEntryPosted,
    WalletClosed,
    WalletOpened,
)
from contracts.money import parse_signed_minor
from transaction_history.domain.rows import Changes, EntryRow, StateChangeRow, SystemEntryRow, WalletRow

TermsData = OverdraftChanged | LimitsChanged | DetailsChanged
WalletData = EntryPosted | HoldCaptured | RestrictionsChanged | WalletClosed | HoldChanged | HoldReleased | TermsData
_NO_RESTRICTIONS: Final = "[]"
_encode = msgspec.json.Encoder().encode


class Contradiction(Exception):
    """The event does not fit what is known: a version that does not follow, a wallet that nobody opened."""


def project(event: Envelope, data: EventData, wallet: WalletRow | None) -> Changes:
    """Return what *event* with its body *data* changes; *wallet* is its subject as known so far, None if unknown.

    Raises Contradiction.
    """
    match data:
        case SystemEntryPosted():
            return Changes(None, _system_entry(event, data))
        case PolicyChanged() | OwnerChanged():
            return Changes(None, None)
        case WalletOpened():
            return _opened(event, data, wallet)
        case _:
            return _of_known_wallet(event, data, _next(event, wallet))


def _of_known_wallet(event: Envelope, data: WalletData, wallet: WalletRow) -> Changes:
    match data:
        case EntryPosted() | HoldCaptured():
            return _entry(event, data, wallet)
        case RestrictionsChanged():
            return _restrictions(event, data, wallet)
        case WalletClosed():
            return _closed(event, data, wallet)
        case HoldChanged() | HoldReleased():
            return _held(event, data, wallet)
        case OverdraftChanged() | LimitsChanged() | DetailsChanged():
            return _terms(event, data, wallet)
        case _:
            assert_never(data)


def _next(event: Envelope, wallet: WalletRow | None) -> WalletRow:
    """Return *wallet* where *event* is its next one."""
    if wallet is None:
        raise Contradiction("the wallet was never opened")
    if wallet.tenant_id != event.tenant_id:
        raise Contradiction("the wallet is another tenant's")
    if event.wallet_version != wallet.version + 1:
        raise Contradiction(f"version {event.wallet_version} does not follow {wallet.version}")
    return wallet


def _opened(event: Envelope, data: WalletOpened, wallet: WalletRow | None) -> Changes:
    if wallet is not None:
        raise Contradiction("the wallet was opened before")
    if event.wallet_version != 1:
        raise Contradiction(f"version {event.wallet_version} opens no wallet")
    private = _private(data.private)
    opened = WalletRow(
        wallet_id=event.subject,
        tenant_id=event.tenant_id,
        owner_id=data.owner_id,
        currency=data.currency,
        status="open",
        restrictions=_NO_RESTRICTIONS,
        overdraft_limit_minor=parse_signed_minor(data.overdraft_limit),
        posted_minor=parse_signed_minor(data.balance.posted),
        held_minor=parse_signed_minor(data.balance.held),
        version=1,
        opened_at=event.time,
        last_at=event.time,
        private=private,
    )
    return Changes(opened, _state_change(event, opened.owner_id, private))


def _entry(event: Envelope, data: EntryPosted | HoldCaptured, wallet: WalletRow) -> Changes:
    if event.transaction_id is None or event.entry_index is None or event.entry_count is None:
        raise Contradiction("an entry without its place in a transaction")
    posted_minor, held_minor = parse_signed_minor(data.balance.posted), parse_signed_minor(data.balance.held)
    other = data.counterparty
    related = data.related_transaction_id if isinstance(data, EntryPosted) else None
    refund = data.refund if isinstance(data, RefundPosted) else None
    hold_id = data.hold.id if isinstance(data, HoldCaptured) else data.hold_id
    row = EntryRow(
        wallet_id=event.subject,
        version=wallet.version + 1,
        seq=event.sequence,
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        owner_id=wallet.owner_id,
        type=event.type,
        transaction_id=event.transaction_id,
        transaction_type=data.transaction_type,
        entry_index=event.entry_index,
        entry_count=event.entry_count,
        currency=wallet.currency,
        amount_minor=parse_signed_minor(data.amount),
        posted_minor_after=posted_minor,
        held_minor_after=held_minor,
        counterparty_wallet_id=None if other is None or other.wallet_id is None else UUID(other.wallet_id),
        counterparty_owner_id=None if other is None else other.owner_id,
        counterparty_account=None if other is None else other.system_account,
        private=_private(data.private),
        occurred_at=event.time,
        related_transaction_id=None if related is None else UUID(related),
        is_forced=data.forced,
        refund_minor=None if refund is None else parse_signed_minor(refund.amount),
        refundable_minor=None if refund is None else parse_signed_minor(refund.refundable),
        refund_currency=None if refund is None else refund.amount.currency,
        hold_id=None if hold_id is None else UUID(hold_id),
        fee_rule=None if isinstance(data, HoldCaptured) else data.fee_rule,
    )
    if posted_minor != wallet.posted_minor + row.amount_minor:
        raise Contradiction("the balance after is not the balance before plus the amount")
    return Changes(_moved(event, wallet, posted_minor=posted_minor, held_minor=held_minor), row)


def _restrictions(event: Envelope, data: RestrictionsChanged, wallet: WalletRow) -> Changes:
    changed = _moved(event, wallet, restrictions=_encode(data.restrictions).decode())
    return Changes(
        changed, _state_change(event, wallet.owner_id, _private(data.private), source=data.source, scope=data.scope)
    )


def _held(event: Envelope, data: HoldChanged | HoldReleased, wallet: WalletRow) -> Changes:
    if parse_signed_minor(data.balance.posted) != wallet.posted_minor:
        raise Contradiction("a hold that changes what is posted")
    held_minor = parse_signed_minor(data.balance.held)
    change = _state_change(event, wallet.owner_id, _private(data.private), held_minor_after=held_minor)
    return Changes(_moved(event, wallet, held_minor=held_minor), change)


def _terms(event: Envelope, data: TermsData, wallet: WalletRow) -> Changes:
    changed, private = _moved(event, wallet), _private(data.private)
    if isinstance(data, OverdraftChanged):
        changed = msgspec.structs.replace(changed, overdraft_limit_minor=parse_signed_minor(data.limit))
    elif isinstance(data, DetailsChanged):
        changed = msgspec.structs.replace(changed, private=private)
    return Changes(changed, _state_change(event, wallet.owner_id, private))


def _closed(event: Envelope, data: WalletClosed, wallet: WalletRow) -> Changes:
    changed = _moved(event, wallet, status="closed")
    return Changes(changed, _state_change(event, wallet.owner_id, _private(data.private)))


def _moved(
    event: Envelope,
    wallet: WalletRow,
    *,
    posted_minor: int | None = None,
    held_minor: int | None = None,
    restrictions: str | None = None,
    status: str | None = None,
) -> WalletRow:
    """Return *wallet* one version on, with what is given replaced."""
    return WalletRow(
        wallet_id=wallet.wallet_id,
        tenant_id=wallet.tenant_id,
        owner_id=wallet.owner_id,
        currency=wallet.currency,
        status=wallet.status if status is None else status,
        restrictions=wallet.restrictions if restrictions is None else restrictions,
        overdraft_limit_minor=wallet.overdraft_limit_minor,
        posted_minor=wallet.posted_minor if posted_minor is None else posted_minor,
        held_minor=wallet.held_minor if held_minor is None else held_minor,
        version=wallet.version + 1,
        opened_at=wallet.opened_at,
        last_at=event.time,
        private=wallet.private,
    )


def _state_change(
    event: Envelope,
    owner_id: str,
    private: str | None,
    *,
    source: str | None = None,
    scope: str | None = None,
    held_minor_after: int | None = None,
) -> StateChangeRow:
    assert event.wallet_version is not None, "the version was compared before"
    return StateChangeRow(
        wallet_id=event.subject,
        version=event.wallet_version,
        seq=event.sequence,
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        owner_id=owner_id,
        type=event.type,
        source=source,
        scope=scope,
        private=private,
        occurred_at=event.time,
        held_minor_after=held_minor_after,
    )


def _system_entry(event: Envelope, data: SystemEntryPosted) -> SystemEntryRow:
    if event.transaction_id is None or event.entry_index is None or event.entry_count is None:
        raise Contradiction("an entry without its place in a transaction")
    return SystemEntryRow(
        transaction_id=event.transaction_id,
        entry_index=event.entry_index,
        wallet_id=event.subject,
        seq=event.sequence,
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        transaction_type=data.transaction_type,
        entry_count=event.entry_count,
        account=data.system_account,
        currency=data.amount.currency,
        amount_minor=parse_signed_minor(data.amount),
        occurred_at=event.time,
    )


def _private(private: Private | None) -> str | None:
    return None if private is None else _encode(private).decode()
