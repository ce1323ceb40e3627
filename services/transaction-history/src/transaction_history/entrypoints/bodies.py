"""What a client is answered."""

from collections.abc import Iterator
from uuid import UUID

from pydantic import BaseModel

from contracts.envelope import rfc3339
from contracts.events import FEE_CHARGED, FEE_RETURNED, Private
from servicekit.http.routes import money
from servicekit.http.routes.paging import ShownBothWays
from servicekit.principal import Principal
from transaction_history.domain.rows import EntryRow, SystemEntryRow
from transaction_history.entrypoints.parked import ParkedBody, parked_body
from transaction_history.reads.balances import BalanceAt
from transaction_history.reads.transactions import Stated, TransactionEntries
from transaction_history.reads.view import Parked


class MoneyBody(money.MoneyBody):
    """An amount: a decimal string with all of the currency's decimals, signed where a direction is meant."""


class BalanceBody(BaseModel):
    """A wallet's balance: available = posted - held."""

    posted: MoneyBody
    held: MoneyBody
    available: MoneyBody


class CounterpartyBody(BaseModel):
    """The other side of an entry: a wallet, or a system account.

    *owner_id* is null for an owner the caller does not act for.
    """

    wallet_id: str | None
    owner_id: str | None
    system_account: str | None


class EntryBody(BaseModel):
    """A wallet's entry. *id* is its event's, *version* the wallet's after it; *amount* is signed.

    *related_transaction_id* is what it takes back, *hold_id* what it captures, *fee_rule* what it is a fee by;
    *is_forced*: it went below the floor, or through restrictions. What changed only what is held has no transaction.
    """

    id: str
    wallet_id: str
    owner_id: str
    version: int
    type: str
    transaction_id: str | None
    transaction_type: str | None
    entry_index: int | None
    entry_count: int | None
    amount: MoneyBody
    balance: BalanceBody
    counterparty: CounterpartyBody | None
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    destination: str | None
    related_transaction_id: str | None
    hold_id: str | None
    fee_rule: str | None
    is_forced: bool
    occurred_at: str


class CountBody(BaseModel):
    """How many there are; where not *exact*, there are more than were counted."""

    count: int
    exact: bool


class EntriesBody(BaseModel):
    """A page of entries. *total* is told where it was asked for.

    *searched_to* is the instant down to which the index was looked through; null: all of it was, or keys were enough.
    """

    data: list[EntryBody]
    next_cursor: str | None
    prev_cursor: str | None
    searched_to: str | None
    total: CountBody | None
    parked: ParkedBody


class LegBody(BaseModel):
    """One leg of a transaction: a wallet's, with the balance and version after it, or a system account's.

    Of a wallet whose owner the caller does not act for, *owner_id*, *balance_after* and *version* are null.
    """

    entry_index: int
    wallet_id: str | None
    owner_id: str | None
    system_account: str | None
    amount: MoneyBody
    balance_after: MoneyBody | None
    version: int | None


class FeeBody(BaseModel):
    """A fee that a wallet bore, by which rule."""

    wallet_id: str
    amount: MoneyBody
    rule: str


class TransactionBody(BaseModel):
    """A transaction with its legs, as the wallet answers it; *complete* is false while legs are still to come.

    *reference*, *description*, *metadata* and *destination* are those of an entry whose owner the caller acts for.
    *refunded*, *refunds* and *status* are those of what was taken back so far; *reason* is why it takes another back.
    """

    id: str
    type: str
    status: str
    complete: bool
    amount: MoneyBody
    entries: list[LegBody]
    refunded: MoneyBody
    fees: list[FeeBody]
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    destination: str | None
    created_at: str
    refunds: list[str]
    related_transaction_id: str | None
    reason: str | None


class TransactionSummaryBody(BaseModel):
    """A transaction in a list; *complete* is false while entries are still to come. *amounts*: what it credits in all.

    *reverses* is what it takes back, *reversed_by* what took all of it back, *refunded* how much of it went back.
    """

    id: str
    type: str | None
    status: str
    complete: bool
    entry_count: int | None
    amounts: list[MoneyBody]
    refunded: MoneyBody | None
    refunds: list[str]
    reverses: str | None
    reversed_by: str | None
    created_at: str | None
    completed_at: str | None


class TransactionsBody(BaseModel):
    """A page of transactions."""

    data: list[TransactionSummaryBody]
    next_cursor: str | None
    prev_cursor: str | None
    parked: ParkedBody


class BalanceAtBody(BaseModel):
    """A wallet's balance; *version* is that of the last entry up to then, 0 before the first.

    *at* is the instant that was asked for, or null where a version was; *last_entry_at* is when that entry occurred.
    """

    wallet_id: str
    at: str | None
    balance: BalanceBody
    version: int
    last_entry_at: str | None


def entry_body(row: EntryRow, private: Private, caller: Principal) -> EntryBody:
    """Return *row* with its free text, which is of an owner that *caller* acts for, as it sees it."""
    return EntryBody(
        id=str(row.event_id),
        wallet_id=str(row.wallet_id),
        owner_id=row.owner_id,
        version=row.version,
        type=row.type,
        transaction_id=_text(row.transaction_id),
        transaction_type=row.transaction_type,
        entry_index=row.entry_index,
        entry_count=row.entry_count,
        amount=MoneyBody.of(row.amount_minor, row.currency),
        balance=balance_body(row.posted_minor_after, row.held_minor_after, row.currency),
        counterparty=_counterparty(row, caller),
        reference=private.reference,
        description=private.description,
        metadata=private.metadata,
        destination=private.destination,
        related_transaction_id=_text(row.related_transaction_id),
        hold_id=_text(row.hold_id),
        fee_rule=row.fee_rule,
        is_forced=row.is_forced,
        occurred_at=rfc3339(row.occurred_at),
    )


def own_entry(found: TransactionEntries, caller: Principal) -> EntryRow | None:
    """Return the entry whose text *caller* is shown as the transaction's: its first own one."""
    return next((each for each in found.entries if caller.acts_for_owner(each.owner_id)), None)


def transaction_body(found: TransactionEntries, private: Private, caller: Principal) -> TransactionBody:
    """Return *found* as *caller* sees it, in the order of the transaction; *private* is the text of its own entry."""
    named = [row for row in found.entries if row.type != FEE_RETURNED.name]
    first = (named or found.entries or found.system_entries)[0]
    row = found.stated.row
    bodies = [_wallet_entry(each, caller) for each in found.entries]
    bodies += [_system_entry(each) for each in found.system_entries]
    return TransactionBody(
        id=str(row.transaction_id),
        type=str(row.type),
        status=found.stated.status,
        complete=found.stated.is_complete,
        amount=MoneyBody.of(abs(first.amount_minor), first.currency),
        entries=sorted(bodies, key=lambda entry: entry.entry_index),
        refunded=MoneyBody.of(row.refunded_minor, row.refund_currency or first.currency),
        fees=[fee for each in found.entries if caller.acts_for_owner(each.owner_id) for fee in _fees(each)],
        reference=private.reference,
        description=private.description,
        metadata=private.metadata,
        destination=private.destination,
        created_at=rfc3339(first.occurred_at),
        refunds=[str(refund) for refund in row.refunds],
        related_transaction_id=_text(row.reverses),
        reason=None if row.reverses is None else private.reason,
    )


def transactions_body(shown: ShownBothWays[Stated], parked: Parked) -> TransactionsBody:
    """Return a page of transactions as a client sees it, which lacks what is *parked*."""
    return TransactionsBody(
        data=[_summary(stated) for stated in shown.rows],
        next_cursor=shown.next_cursor,
        prev_cursor=shown.prev_cursor,
        parked=parked_body(parked),
    )


def _summary(stated: Stated) -> TransactionSummaryBody:
    row = stated.row
    return TransactionSummaryBody(
        id=str(row.transaction_id),
        type=row.type,
        status=stated.status,
        complete=stated.is_complete,
        entry_count=row.entry_count,
        amounts=[MoneyBody.of(minor, currency) for currency, minor in sorted(row.amounts.items())],
        refunded=None if row.refund_currency is None else MoneyBody.of(row.refunded_minor, row.refund_currency),
        refunds=[str(refund) for refund in row.refunds],
        reverses=_text(row.reverses),
        reversed_by=_text(row.reversed_by),
        created_at=None if row.created_at is None else rfc3339(row.created_at),
        completed_at=rfc3339(row.last_entry_at) if stated.is_complete and row.last_entry_at is not None else None,
    )


def balance_at_body(found: BalanceAt, at: str | None) -> BalanceAtBody:
    """Return *found*, asked for *at*, as a client sees it."""
    wallet, standing = found.wallet, found.standing
    return BalanceAtBody(
        wallet_id=str(wallet.wallet_id),
        at=at,
        balance=balance_body(standing.posted_minor, standing.held_minor, wallet.currency),
        version=standing.version,
        last_entry_at=None if standing.occurred_at is None else rfc3339(standing.occurred_at),
    )


def _fees(row: EntryRow) -> Iterator[FeeBody]:
    """Yield the fee that the entry is, if it is one."""
    if row.type == FEE_CHARGED.name and row.fee_rule is not None:
        amount = MoneyBody.of(-row.amount_minor, row.currency)
        yield FeeBody(wallet_id=str(row.wallet_id), amount=amount, rule=row.fee_rule)


def _wallet_entry(row: EntryRow, caller: Principal) -> LegBody:
    is_own = caller.acts_for_owner(row.owner_id)
    return LegBody(
        entry_index=row.entry_index,
        wallet_id=str(row.wallet_id),
        owner_id=row.owner_id if is_own else None,
        system_account=None,
        amount=MoneyBody.of(row.amount_minor, row.currency),
        balance_after=MoneyBody.of(row.posted_minor_after, row.currency) if is_own else None,
        version=row.version if is_own else None,
    )


def _system_entry(row: SystemEntryRow) -> LegBody:
    return LegBody(
        entry_index=row.entry_index,
        wallet_id=None,
        owner_id=None,
        system_account=row.account,
        amount=MoneyBody.of(row.amount_minor, row.currency),
        balance_after=None,
        version=None,
    )


def balance_body(posted_minor: int, held_minor: int, currency: str) -> BalanceBody:
    """Return a balance as a client sees it."""
    return BalanceBody(
        posted=MoneyBody.of(posted_minor, currency),
        held=MoneyBody.of(held_minor, currency),
        available=MoneyBody.of(posted_minor - held_minor, currency),
    )


def _counterparty(row: EntryRow, caller: Principal) -> CounterpartyBody | None:
    if row.counterparty_wallet_id is None and row.counterparty_account is None:
        return None
    owner_id = row.counterparty_owner_id
    return CounterpartyBody(
        wallet_id=None if row.counterparty_wallet_id is None else str(row.counterparty_wallet_id),
        owner_id=owner_id if owner_id is not None and caller.acts_for_owner(owner_id) else None,
        system_account=row.counterparty_account,
    )


def _text(found: UUID | None) -> str | None:
    return None if found is None else str(found)
