"""The bodies of the answers: resources, and the results of a batch."""

from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from contracts.envelope import rfc3339
from contracts.money import Money, money
from wallet.domain.facts import AnyFact, EntryFact, SystemEntry
from wallet.domain.fee_facts import FeeCharged
from wallet.domain.holds import amount_minor_of, hold_of, remaining_minor, status_of
from wallet.domain.mandate import Mandate
from wallet.domain.rows import StateRow
from wallet.domain.texts import NO_TEXT, read_text
from wallet.domain.wallets import Restriction, RestrictionScope, Wallet


class BalanceBody(msgspec.Struct, frozen=True):
    """A wallet's balance: available = posted - held."""

    posted: Money
    held: Money
    available: Money


class RestrictionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction of a wallet. Its source and its reason are told to staff alone."""

    source: str | UnsetType = UNSET
    scope: RestrictionScope
    reason: str | UnsetType = UNSET


class WalletBody(msgspec.Struct, frozen=True):
    """A wallet. *status* is `open`, `frozen` (there are restrictions) or `closed`."""

    id: UUID
    owner_id: str
    currency: str
    status: str
    label: str | None
    metadata: dict[str, str] | None
    balance: BalanceBody
    overdraft_limit: Money
    restrictions: tuple[RestrictionBody, ...]
    version: int
    opened_at: str
    updated_at: str


class EntryBody(msgspec.Struct, frozen=True):
    """An entry of a transaction; *amount* is signed.

    A wallet's names the wallet, its balance and its version after it; another owner's wallet is named alone, and so is
    a system account.
    """

    amount: Money
    wallet_id: UUID | UnsetType = UNSET
    balance_after: Money | UnsetType = UNSET
    version: int | UnsetType = UNSET
    system_account: str | UnsetType = UNSET


class FeeBody(msgspec.Struct, frozen=True):
    """A fee that a wallet bore, by which rule."""

    wallet_id: UUID
    amount: Money
    rule: str


class TransactionBody(msgspec.Struct, frozen=True):
    """A ledger transaction with all its entries, which sum to zero per currency.

    *status* is `posted`, `partially_refunded`, `refunded` or `reversed`: *refunded* of what its payees got was taken
    back by the transactions *refunds*, chargebacks among them. *related_transaction_id* is what it takes back itself,
    and *reason* why.
    """

    id: UUID
    type: str
    status: str
    amount: Money
    entries: list[EntryBody]
    refunded: Money
    fees: list[FeeBody]
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    destination: str | None
    created_at: str
    refunds: tuple[UUID, ...] = ()
    related_transaction_id: UUID | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class HoldBody(msgspec.Struct, frozen=True):
    """A hold: amount = captured + released + remaining; *fee_reserved* of the payer's fee is held too.

    *status* is `open`, `captured`, `voided` or `expired`; *captures* are the transactions that captured it.
    """

    id: UUID
    wallet_id: UUID
    purpose: str
    status: str
    amount: Money
    fee_reserved: Money
    captured: Money
    released: Money
    remaining: Money
    expires_at: str
    captures: tuple[UUID, ...]
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    created_at: str
    updated_at: str


class CommandResult(msgspec.Struct, frozen=True):
    """One command's outcome inside a batch's answer: a body or a problem, whichever its status calls for."""

    status: int
    body: msgspec.Raw | None
    problem: msgspec.Raw | None
    replayed: bool


class BatchBody(msgspec.Struct, frozen=True):
    """A batch's answer: the outcomes in the order of the commands."""

    results: list[CommandResult]


def wallet_status(wallet: Wallet) -> str:
    """Return the status a client sees."""
    if wallet.is_closed:
        return "closed"
    return "frozen" if wallet.restrictions else "open"


def wallet_body(wallet: Wallet, mandate: Mandate) -> WalletBody:
    """Return *wallet* as whoever has the *mandate* for it sees it."""
    private = read_text(wallet.private)
    currency = wallet.currency
    return WalletBody(
        id=wallet.id,
        owner_id=wallet.owner_id,
        currency=currency,
        status=wallet_status(wallet),
        label=private.label if private else None,
        metadata=private.metadata if private else None,
        balance=BalanceBody(
            money(wallet.posted_minor, currency),
            money(wallet.held_minor, currency),
            money(wallet.available_minor, currency),
        ),
        overdraft_limit=money(wallet.overdraft_limit_minor, currency),
        restrictions=tuple(_restriction_body(each, mandate) for each in wallet.restrictions),
        version=wallet.version,
        opened_at=rfc3339(wallet.opened_at),
        updated_at=rfc3339(wallet.last_at),
    )


def hold_body(row: StateRow) -> HoldBody:
    """Return a hold as whoever may see its wallet sees it."""
    hold, private = hold_of(row), read_text(row.private) or NO_TEXT
    assert row.wallet_id is not None
    currency = hold.currency
    return HoldBody(
        row.id,
        row.wallet_id,
        hold.purpose,
        status_of(row),
        money(amount_minor_of(row), currency),
        money(hold.fee_reserved_minor, currency),
        money(hold.captured_minor, currency),
        money(hold.released_minor, currency),
        money(remaining_minor(row), currency),
        rfc3339(hold.expires_at),
        hold.captures,
        private.reference,
        private.description,
        private.metadata,
        rfc3339(hold.placed_at),
        rfc3339(row.changed_at),
    )


def _restriction_body(restriction: Restriction, mandate: Mandate) -> RestrictionBody:
    if not mandate.sees_restrictions:
        return RestrictionBody(scope=restriction.scope)
    return RestrictionBody(source=restriction.source, scope=restriction.scope, reason=restriction.reason)


def entry_body(fact: AnyFact, wallet: Wallet, mandate: Mandate) -> EntryBody:
    """Return an entry that was just made, *wallet* as it left it, as whoever has the *mandate* sees it.

    Of a wallet that the mandate does not cover that is its id and the amount.
    """
    if isinstance(fact, SystemEntry):
        return EntryBody(money(fact.amount_minor, wallet.currency), system_account=fact.account)
    assert isinstance(fact, EntryFact), "every fact of a transaction is an entry"
    amount = money(fact.amount_minor, wallet.currency)
    if not mandate.covers(wallet.owner_id):
        return EntryBody(amount, wallet.id)
    return EntryBody(amount, wallet.id, money(wallet.posted_minor, wallet.currency), wallet.version)


def fee_body(fact: FeeCharged, wallet: Wallet) -> FeeBody:
    """Return a fee that was just charged."""
    return FeeBody(wallet.id, money(-fact.amount_minor, wallet.currency), fact.about.fee_rule or "")
