"""From events to rows. Pure: the same events in the same order of their shard make the same rows."""

from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

import msgspec

from contracts.envelope import Envelope
from contracts.events import (
    FEE_CHARGED,
    FEE_RETURNED,
    Counterparty,
    DetailsChanged,
    EntryPosted,
    EventData,
    Hold,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
    LimitsChanged,
    OverdraftChanged,
    OwnerChanged,
    PolicyChanged,
    Private,
    Refund,
    RefundPosted,
    RestrictionsChanged,
    SystemEntryPosted,
    WalletClosed,
    WalletOpened,
)
from contracts.money import parse_signed_minor
from transaction_history.domain.rows import Changes, EntryRow, HoldRow, StateChangeRow, SystemEntryRow, WalletRow

TermsData = OverdraftChanged | LimitsChanged | DetailsChanged
WalletData = EntryPosted | HoldCaptured | RestrictionsChanged | WalletClosed | HoldChanged | HoldReleased | TermsData
_NO_RESTRICTIONS: Final = "[]"
_FEES: Final = frozenset({FEE_CHARGED.name, FEE_RETURNED.name})
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
        shard=event.shard,
        entries=0,
        credits_total=0,
        debits_total=0,
        fees_total=0,
        first_entry_at=None,
        last_entry_at=None,
    )
    return Changes(opened, _state_change(event, opened.owner_id, private))


def _entry(event: Envelope, data: EntryPosted | HoldCaptured, wallet: WalletRow) -> Changes:
    if event.transaction_id is None or event.entry_index is None or event.entry_count is None:
        raise Contradiction("an entry without its place in a transaction")
    amount_minor = parse_signed_minor(data.amount)
    posted_minor, held_minor = parse_signed_minor(data.balance.posted), parse_signed_minor(data.balance.held)
    if posted_minor != wallet.posted_minor + amount_minor:
        raise Contradiction("the balance after is not the balance before plus the amount")
    is_fee = event.type in _FEES
    after = msgspec.structs.replace(
        _moved(event, wallet, posted_minor=posted_minor, held_minor=held_minor),
        entries=wallet.entries + 1,
        credits_total=wallet.credits_total + max(amount_minor, 0),
        debits_total=wallet.debits_total + max(-amount_minor, 0),
        fees_total=wallet.fees_total - (amount_minor if is_fee else 0),
    )
    after = _with_entry(event, after)
    related = data.related_transaction_id if isinstance(data, EntryPosted) else None
    refund = data.refund if isinstance(data, RefundPosted) else None
    hold_id = data.hold.id if isinstance(data, HoldCaptured) else data.hold_id
    row = _entry_row(
        event,
        after,
        amount_minor=amount_minor,
        transaction_type=data.transaction_type,
        counterparty=data.counterparty,
        private=_private(data.private),
        related_transaction_id=None if related is None else UUID(related),
        is_forced=data.forced,
        refund=refund,
        hold_id=None if hold_id is None else UUID(hold_id),
        fee_rule=None if isinstance(data, HoldCaptured) else data.fee_rule,
    )
    hold = (
        _hold(event, data.hold, after, captured_by=(event.transaction_id,)) if isinstance(data, HoldCaptured) else None
    )
    return Changes(after, row, hold)


def _restrictions(event: Envelope, data: RestrictionsChanged, wallet: WalletRow) -> Changes:
    changed = _moved(event, wallet, restrictions=_encode(data.restrictions).decode())
    return Changes(
        changed, _state_change(event, wallet.owner_id, _private(data.private), source=data.source, scope=data.scope)
    )


def _held(event: Envelope, data: HoldChanged | HoldReleased, wallet: WalletRow) -> Changes:
    if parse_signed_minor(data.balance.posted) != wallet.posted_minor:
        raise Contradiction("a hold that changes what is posted")
    held_minor = parse_signed_minor(data.balance.held)
    after = _with_entry(event, _moved(event, wallet, held_minor=held_minor))
    row = _entry_row(event, after, private=_private(data.private), hold_id=UUID(data.hold.id))
    return Changes(after, row, _hold(event, data.hold, after))


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


def _moved(event: Envelope, wallet: WalletRow, **replaced: object) -> WalletRow:
    """Return *wallet* one version on, with what is given replaced."""
    return msgspec.structs.replace(wallet, version=wallet.version + 1, last_at=event.time, **replaced)


def _with_entry(event: Envelope, wallet: WalletRow) -> WalletRow:
    first = event.time if wallet.first_entry_at is None else wallet.first_entry_at
    return msgspec.structs.replace(wallet, first_entry_at=first, last_entry_at=event.time)


def _entry_row(
    event: Envelope,
    after: WalletRow,
    *,
    private: str | None,
    hold_id: UUID | None,
    amount_minor: int = 0,
    transaction_type: str | None = None,
    counterparty: Counterparty | None = None,
    related_transaction_id: UUID | None = None,
    is_forced: bool = False,
    refund: Refund | None = None,
    fee_rule: str | None = None,
) -> EntryRow:
    """Return the row of *event*, which left the wallet as *after*; without a transaction it moved nothing."""
    wallet_id = None if counterparty is None else counterparty.wallet_id
    return EntryRow(
        wallet_id=event.subject,
        version=after.version,
        seq=event.sequence,
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        owner_id=after.owner_id,
        type=event.type,
        transaction_id=event.transaction_id,
        transaction_type=transaction_type,
        entry_index=event.entry_index,
        entry_count=event.entry_count,
        currency=after.currency,
        amount_minor=amount_minor,
        posted_minor_after=after.posted_minor,
        held_minor_after=after.held_minor,
        counterparty_wallet_id=None if wallet_id is None else UUID(wallet_id),
        counterparty_owner_id=None if counterparty is None else counterparty.owner_id,
        counterparty_account=None if counterparty is None else counterparty.system_account,
        private=private,
        occurred_at=event.time,
        related_transaction_id=related_transaction_id,
        is_forced=is_forced,
        refund_minor=None if refund is None else parse_signed_minor(refund.amount),
        refundable_minor=None if refund is None else parse_signed_minor(refund.refundable),
        refund_currency=None if refund is None else refund.amount.currency,
        hold_id=hold_id,
        fee_rule=fee_rule,
        shard=event.shard,
        entries_after=after.entries,
        credits_after=after.credits_total,
        debits_after=after.debits_total,
        fees_after=after.fees_total,
    )


def _hold(event: Envelope, hold: Hold, after: WalletRow, *, captured_by: tuple[UUID, ...] = ()) -> HoldRow:
    return HoldRow(
        wallet_id=event.subject,
        hold_id=UUID(hold.id),
        tenant_id=event.tenant_id,
        owner_id=after.owner_id,
        shard=event.shard,
        currency=after.currency,
        purpose=hold.purpose,
        status=hold.status,
        amount_minor=parse_signed_minor(hold.amount),
        fee_reserved_minor=parse_signed_minor(hold.fee_reserved),
        captured_minor=parse_signed_minor(hold.captured),
        released_minor=parse_signed_minor(hold.released),
        remaining_minor=parse_signed_minor(hold.remaining),
        expires_at=datetime.fromisoformat(hold.expires_at),
        placed_at=event.time,
        last_at=event.time,
        version=after.version,
        transactions=captured_by,
    )


def _state_change(
    event: Envelope,
    owner_id: str,
    private: str | None,
    *,
    source: str | None = None,
    scope: str | None = None,
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
        shard=event.shard,
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
        shard=event.shard,
    )


def _private(private: Private | None) -> str | None:
    return None if private is None else _encode(private).decode()
