"""What a client is answered: resources as JSON bytes, made once and stored as they are."""

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from contracts.envelope import rfc3339
from contracts.money import Money, money
from contracts.problems import PROBLEM_CODES
from servicekit.http.problems import render_problem
from wallet.application.private import read_private
from wallet.domain.commands import Details, MoneyCommand
from wallet.domain.outcomes import Amount, FactValue, Posted, Rejected, SystemLeg, WalletLeg
from wallet.domain.wallets import Restriction, Wallet

_encode = msgspec.json.Encoder().encode
_NO_DETAILS: Final = Details()


class BalanceBody(msgspec.Struct, frozen=True):
    """A wallet's balance: available = posted - held."""

    posted: Money
    held: Money
    available: Money


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
    restrictions: tuple[Restriction, ...]
    version: int
    opened_at: str
    updated_at: str


class EntryBody(msgspec.Struct, frozen=True):
    """An entry of a transaction; *amount* is signed.

    A wallet's names the wallet, its balance and its version after it; a system account's names the account alone.
    """

    amount: Money
    wallet_id: UUID | UnsetType = UNSET
    balance_after: Money | UnsetType = UNSET
    version: int | UnsetType = UNSET
    system_account: str | UnsetType = UNSET


class TransactionBody(msgspec.Struct, frozen=True):
    """A ledger transaction with all its entries, which sum to zero per currency."""

    id: UUID
    type: str
    status: str
    amount: Money
    entries: list[EntryBody]
    refunded: Money
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    destination: str | None
    created_at: str


def wallet_status(wallet: Wallet) -> str:
    """Return the status a client sees."""
    if wallet.is_closed:
        return "closed"
    return "frozen" if wallet.restrictions else "open"


def wallet_body(wallet: Wallet) -> WalletBody:
    """Return *wallet* as a client sees it."""
    private = read_private(wallet.private)
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
        restrictions=wallet.restrictions,
        version=wallet.version,
        opened_at=rfc3339(wallet.opened_at),
        updated_at=rfc3339(wallet.last_at),
    )


def render_wallet(wallet: Wallet) -> bytes:
    """Return *wallet* as JSON bytes."""
    return _encode(wallet_body(wallet))


def render_transaction(transaction_id: UUID, command: MoneyCommand, posted: Posted, created_at: str) -> bytes:
    """Return the transaction that *command* made as JSON bytes; *created_at* is written already."""
    currency = command.currency
    details = command.details or _NO_DETAILS
    return _encode(
        TransactionBody(
            transaction_id,
            command.kind,
            "posted",
            money(command.amount_minor, currency),
            [_entry_body(leg, currency) for leg in posted.legs],
            money(0, currency),
            details.reference,
            details.description,
            details.metadata,
            details.destination,
            created_at,
        )
    )


def _entry_body(leg: WalletLeg | SystemLeg, currency: str) -> EntryBody:
    amount = money(leg.amount_minor, currency)
    if isinstance(leg, SystemLeg):
        return EntryBody(amount, system_account=leg.account)
    wallet = leg.wallet
    return EntryBody(amount, wallet.id, money(wallet.posted_minor, currency), wallet.version)


def render_rejected(rejected: Rejected, instance: str) -> bytes:
    """Return the problem document of a refusal by a rule, with the facts a client needs to act."""
    code, subject = PROBLEM_CODES[rejected.code], rejected.subject
    detail = f"{subject.kind.capitalize()} {subject.id}: {code.title[0].lower()}{code.title[1:]}."
    facts: dict[str, Any] = {f"{subject.kind}_id": subject.id}
    facts |= {name: _fact(value) for name, value in rejected.facts.items()}
    return render_problem(code, detail, instance=instance, **facts)


def _fact(value: FactValue) -> Any:
    return money(value.minor, value.currency) if isinstance(value, Amount) else value
