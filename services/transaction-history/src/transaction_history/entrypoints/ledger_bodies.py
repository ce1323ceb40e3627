"""What a client is answered about wallets, holds, states and series."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from pydantic import BaseModel

from contracts.envelope import rfc3339
from contracts.events import Private
from servicekit.http.routes.paging import ShownBothWays
from transaction_history.domain.rows import HoldRow, StateChangeRow, WalletRow
from transaction_history.domain.totals import Standing, movement
from transaction_history.entrypoints.bodies import BalanceBody, MoneyBody, balance_body
from transaction_history.entrypoints.parked import ParkedBody, parked_body
from transaction_history.reads.balances import CurrencySeries, Series
from transaction_history.reads.view import Parked
from transaction_history.reads.wallets import OwnerBalances


class RestrictionBody(BaseModel):
    """Who restricts the wallet, and how far."""

    source: str
    scope: str


class WalletBody(BaseModel):
    """A wallet after its newest event. *entries* and the totals are since it was opened, fees within both sides."""

    id: str
    owner_id: str
    currency: str
    status: str
    restrictions: list[RestrictionBody]
    balance: BalanceBody
    overdraft_limit: MoneyBody
    version: int
    label: str | None
    entries: int
    credits: MoneyBody
    debits: MoneyBody
    fees: MoneyBody
    opened_at: str
    last_at: str
    last_entry_at: str | None


class WalletsBody(BaseModel):
    """A page of wallets, those opened last first."""

    data: list[WalletBody]
    next_cursor: str | None
    prev_cursor: str | None
    parked: ParkedBody


class HoldBody(BaseModel):
    """A hold: amount = captured + released + remaining. *transaction_ids* captured it."""

    id: str
    wallet_id: str
    owner_id: str
    purpose: str
    state: str
    amount: MoneyBody
    fee_reserved: MoneyBody
    captured: MoneyBody
    released: MoneyBody
    remaining: MoneyBody
    transaction_ids: list[str]
    expires_at: str
    placed_at: str
    last_at: str


class HoldsBody(BaseModel):
    """A page of a wallet's holds, those placed last first."""

    data: list[HoldBody]
    next_cursor: str | None
    prev_cursor: str | None


class StateChangeBody(BaseModel):
    """What changed a wallet's state and moved no money. *source* and *scope* are those of a restriction."""

    id: str
    wallet_id: str
    owner_id: str
    version: int
    type: str
    source: str | None
    scope: str | None
    reason: str | None
    label: str | None
    occurred_at: str


class StateChangesBody(BaseModel):
    """A page of what changed a wallet's state, newest first."""

    data: list[StateChangeBody]
    next_cursor: str | None
    prev_cursor: str | None


class CurrencyBalanceBody(BaseModel):
    """What an owner has in one currency, over all of its wallets."""

    currency: str
    wallets: int
    balance: BalanceBody


class OwnerBalancesBody(BaseModel):
    """What an owner has, by currency."""

    owner_id: str
    data: list[CurrencyBalanceBody]


class BucketBody(BaseModel):
    """What happened from *begin* to *end*, which is not included: opening + credits - debits = closing."""

    begin: str
    end: str
    opening: MoneyBody
    closing: MoneyBody
    credits: MoneyBody
    debits: MoneyBody
    fees: MoneyBody
    entries: int


class CurrencySeriesBody(BaseModel):
    """The buckets of one currency."""

    currency: str
    buckets: list[BucketBody]


class SeriesBody(BaseModel):
    """Balances and what moved them, by bucket; nothing that occurred before *complete_until* is still to come."""

    time_zone: str
    bucket: str
    complete_until: str | None
    data: list[CurrencySeriesBody]


def wallet_body(row: WalletRow, private: Private) -> WalletBody:
    """Return *row* with its free text as a client sees it."""
    return WalletBody(
        id=str(row.wallet_id),
        owner_id=row.owner_id,
        currency=row.currency,
        status=row.status,
        restrictions=msgspec.json.decode(row.restrictions),
        balance=balance_body(row.posted_minor, row.held_minor, row.currency),
        overdraft_limit=MoneyBody.of(row.overdraft_limit_minor, row.currency),
        version=row.version,
        label=private.label,
        entries=row.entries,
        credits=MoneyBody.of(row.credits_total, row.currency),
        debits=MoneyBody.of(row.debits_total, row.currency),
        fees=MoneyBody.of(row.fees_total, row.currency),
        opened_at=rfc3339(row.opened_at),
        last_at=rfc3339(row.last_at),
        last_entry_at=None if row.last_entry_at is None else rfc3339(row.last_entry_at),
    )


def wallets_body(shown: ShownBothWays[WalletRow], texts: Sequence[Private], parked: Parked) -> WalletsBody:
    """Return a page of wallets with their *texts* as a client sees it, which lacks what is *parked*."""
    return WalletsBody(
        data=[wallet_body(row, private) for row, private in zip(shown.rows, texts, strict=True)],
        next_cursor=shown.next_cursor,
        prev_cursor=shown.prev_cursor,
        parked=parked_body(parked),
    )


def holds_body(shown: ShownBothWays[HoldRow]) -> HoldsBody:
    """Return a page of holds as a client sees it."""
    return HoldsBody(
        data=[_hold(row) for row in shown.rows], next_cursor=shown.next_cursor, prev_cursor=shown.prev_cursor
    )


def state_changes_body(shown: ShownBothWays[StateChangeRow], texts: Sequence[Private]) -> StateChangesBody:
    """Return a page of state changes with their *texts* as a client sees it."""
    return StateChangesBody(
        data=[_state_change(row, private) for row, private in zip(shown.rows, texts, strict=True)],
        next_cursor=shown.next_cursor,
        prev_cursor=shown.prev_cursor,
    )


def owner_balances_body(owner_id: str, found: OwnerBalances) -> OwnerBalancesBody:
    """Return what an owner has as a client sees it."""
    data = [
        CurrencyBalanceBody(
            currency=each.currency,
            wallets=each.wallets,
            balance=balance_body(each.posted_minor, each.held_minor, each.currency),
        )
        for each in found.balances
    ]
    return OwnerBalancesBody(owner_id=owner_id, data=data)


def series_body(found: Series, *, time_zone: str, bucket: str) -> SeriesBody:
    """Return a series as a client sees it."""
    data = [
        CurrencySeriesBody(currency=each.currency, buckets=_buckets(each, found.edges)) for each in found.currencies
    ]
    complete_until = found.freshness.complete_until
    return SeriesBody(
        time_zone=time_zone,
        bucket=bucket,
        complete_until=None if complete_until is None else rfc3339(complete_until),
        data=data,
    )


def _buckets(series: CurrencySeries, edges: Sequence[datetime]) -> list[BucketBody]:
    places = range(len(edges) - 1)
    return [_bucket(series.currency, edges[place : place + 2], series.standings[place : place + 2]) for place in places]


def _bucket(currency: str, edges: Sequence[datetime], standings: Sequence[Standing]) -> BucketBody:
    moved = movement(standings[0], standings[1])
    return BucketBody(
        begin=rfc3339(edges[0]),
        end=rfc3339(edges[1]),
        opening=MoneyBody.of(moved.opening_minor, currency),
        closing=MoneyBody.of(moved.closing_minor, currency),
        credits=MoneyBody.of(moved.credits_minor, currency),
        debits=MoneyBody.of(moved.debits_minor, currency),
        fees=MoneyBody.of(moved.fees_minor, currency),
        entries=moved.entries,
    )


def _hold(row: HoldRow) -> HoldBody:
    return HoldBody(
        id=str(row.hold_id),
        wallet_id=str(row.wallet_id),
        owner_id=row.owner_id,
        purpose=row.purpose,
        state=row.status,
        amount=MoneyBody.of(row.amount_minor, row.currency),
        fee_reserved=MoneyBody.of(row.fee_reserved_minor, row.currency),
        captured=MoneyBody.of(row.captured_minor, row.currency),
        released=MoneyBody.of(row.released_minor, row.currency),
        remaining=MoneyBody.of(row.remaining_minor, row.currency),
        transaction_ids=[str(each) for each in row.transactions],
        expires_at=rfc3339(row.expires_at),
        placed_at=rfc3339(row.placed_at),
        last_at=rfc3339(row.last_at),
    )


def _state_change(row: StateChangeRow, private: Private) -> StateChangeBody:
    return StateChangeBody(
        id=str(row.event_id),
        wallet_id=str(row.wallet_id),
        owner_id=row.owner_id,
        version=row.version,
        type=row.type,
        source=row.source,
        scope=row.scope,
        reason=private.reason,
        label=private.label,
        occurred_at=rfc3339(row.occurred_at),
    )
