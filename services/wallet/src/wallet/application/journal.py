"""Journal rows: each decision as the events that it is, ready to be published as they are stored."""

from collections.abc import Callable
from functools import cache
from typing import Final
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventType
from contracts.events import Balance, Counterparty, EntryPosted, Private
from contracts.money import Money, money
from wallet.application.private import seal
from wallet.application.rows import JournalRow
from wallet.application.units import Unit
from wallet.domain.commands import MoneyCommand
from wallet.domain.outcomes import Fact, Posted, StateChanged, SystemLeg, WalletLeg
from wallet.domain.wallets import Wallet

_encode = msgspec.json.Encoder().encode

_EVENT_TYPES: Final[dict[Fact, EventType]] = {
    Fact.OPENED: events.OPENED,
    Fact.DEPOSITED: events.FUNDS_DEPOSITED,
    Fact.WITHDRAWN: events.FUNDS_WITHDRAWN,
    Fact.SENT: events.FUNDS_SENT,
    Fact.RECEIVED: events.FUNDS_RECEIVED,
    Fact.RESTRICTED: events.RESTRICTED,
    Fact.UNRESTRICTED: events.UNRESTRICTED,
    Fact.CLOSED: events.CLOSED,
}


def transaction_rows(unit: Unit, command: MoneyCommand, posted: Posted, transaction_id: UUID) -> list[JournalRow]:
    """Return one row per leg, in the order of the legs."""
    private = seal(details=command.details)
    id_text = str(transaction_id)
    entry_count = len(posted.legs)
    rows = []
    for entry_index, leg in enumerate(posted.legs):
        wallet = leg.wallet
        payload: events.EventData
        version: int | None
        posted_after: int | None
        held_after: int | None
        if isinstance(leg, WalletLeg):
            number = _EVENT_TYPES[leg.fact].number
            system_account = None
            version, posted_after, held_after = wallet.version, wallet.posted_minor, wallet.held_minor
            payload = _entry_payload(id_text, command.kind, leg, private)
        else:
            number = events.SYSTEM_ENTRY_POSTED.number
            system_account = leg.account
            version = posted_after = held_after = None
            payload = _system_payload(id_text, command.kind, leg)
        rows.append(
            JournalRow(
                wallet.tenant_id,
                wallet.id,
                system_account,
                version,
                transaction_id,
                entry_index,
                entry_count,
                number,
                wallet.currency,
                leg.amount_minor,
                0,
                posted_after,
                held_after,
                unit.actor,
                unit.causation_id,
                unit.traceparent,
                _encode(payload),
            )
        )
    return rows


def _entry_payload(transaction_id: str, transaction_type: str, leg: WalletLeg, private: Private | None) -> EntryPosted:
    wallet = leg.wallet
    return EntryPosted(
        transaction_id=transaction_id,
        transaction_type=transaction_type,
        wallet_id=str(wallet.id),
        owner_id=wallet.owner_id,
        amount=money(leg.amount_minor, wallet.currency),
        balance=_balance(wallet),
        counterparty=_counterparty(leg.counterparty),
        private=private,
    )


def _system_payload(transaction_id: str, transaction_type: str, leg: SystemLeg) -> events.SystemEntryPosted:
    return events.SystemEntryPosted(
        transaction_id=transaction_id,
        transaction_type=transaction_type,
        system_account=leg.account,
        amount=money(leg.amount_minor, leg.wallet.currency),
        counterparty=_counterparty(leg.wallet),
    )


def state_change_row(unit: Unit, change: StateChanged, private: Private | None) -> JournalRow:
    """Return the row of a change of state, which moves no money."""
    wallet = change.wallet
    return JournalRow(
        wallet.tenant_id,
        wallet.id,
        None,
        wallet.version,
        None,
        0,
        1,
        _EVENT_TYPES[change.fact].number,
        wallet.currency,
        0,
        0,
        wallet.posted_minor,
        wallet.held_minor,
        unit.actor,
        unit.causation_id,
        unit.traceparent,
        _encode(_STATE_PAYLOADS[change.fact](change, private)),
    )


def _opened(change: StateChanged, private: Private | None) -> events.EventData:
    wallet = change.wallet
    return events.WalletOpened(
        wallet_id=str(wallet.id),
        owner_id=wallet.owner_id,
        currency=wallet.currency,
        overdraft_limit=money(wallet.overdraft_limit_minor, wallet.currency),
        balance=_balance(wallet),
        private=private,
    )


def _restrictions_changed(change: StateChanged, private: Private | None) -> events.EventData:
    wallet = change.wallet
    assert change.source is not None
    assert change.scope is not None
    return events.RestrictionsChanged(
        wallet_id=str(wallet.id),
        owner_id=wallet.owner_id,
        source=change.source,
        scope=change.scope,
        restrictions=[events.Restriction(source=r.source, scope=r.scope) for r in wallet.restrictions],
        balance=_balance(wallet),
        private=private,
    )


def _closed(change: StateChanged, private: Private | None) -> events.EventData:
    wallet = change.wallet
    return events.WalletClosed(
        wallet_id=str(wallet.id), owner_id=wallet.owner_id, balance=_balance(wallet), private=private
    )


_STATE_PAYLOADS: Final[dict[Fact, Callable[[StateChanged, Private | None], events.EventData]]] = {
    Fact.OPENED: _opened,
    Fact.RESTRICTED: _restrictions_changed,
    Fact.UNRESTRICTED: _restrictions_changed,
    Fact.CLOSED: _closed,
}


def _balance(wallet: Wallet) -> Balance:
    currency = wallet.currency
    posted = money(wallet.posted_minor, currency)
    if wallet.held_minor == 0:
        return Balance(posted=posted, held=_zero(currency), available=posted)
    return Balance(
        posted=posted, held=money(wallet.held_minor, currency), available=money(wallet.available_minor, currency)
    )


def _counterparty(other: Wallet | str) -> Counterparty:
    if isinstance(other, str):
        return Counterparty(wallet_id=None, owner_id=None, system_account=other)
    return Counterparty(wallet_id=str(other.id), owner_id=other.owner_id, system_account=None)


@cache
def _zero(currency: str) -> Money:
    return money(0, currency)
