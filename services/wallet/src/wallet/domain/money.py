"""Money moves: deposits, withdrawals, transfers."""

from typing import ClassVar, Final
from uuid import UUID

from contracts import events
from contracts.event_types import EventType
from wallet.domain.commands import Command, Context
from wallet.domain.facts import EntryFact, SystemEntry
from wallet.domain.fees import Fee, Use, fee_entries, fee_minor_of, payees_fee, payers_fee
from wallet.domain.limiting import count_debit, count_deposit, refuse_balance
from wallet.domain.mandate import Mandate
from wallet.domain.outcomes import (
    Accepted,
    Amount,
    Decision,
    RefusalCode,
    Rejected,
    RestrictedBy,
    available,
    missing_wallet,
    rejected,
)
from wallet.domain.owners import with_owners
from wallet.domain.rows import RowName, Rows, UsageChange
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet, WalletStatus

BALANCE_MINOR_MAX: Final = 9 * 10**18
"""No balance goes beyond this, either way."""


class FundsDeposited(EntryFact, frozen=True, gc=False):
    """Money came in from outside."""

    event: ClassVar[EventType] = events.FUNDS_DEPOSITED


class FundsWithdrawn(EntryFact, frozen=True, gc=False):
    """Money was paid out."""

    event: ClassVar[EventType] = events.FUNDS_WITHDRAWN


class FundsSent(EntryFact, frozen=True, gc=False):
    """Money went to another wallet."""

    event: ClassVar[EventType] = events.FUNDS_SENT


class FundsReceived(EntryFact, frozen=True, gc=False):
    """Money came from another wallet."""

    event: ClassVar[EventType] = events.FUNDS_RECEIVED


class MoneyCommand(Command, frozen=True):
    """A command that makes a ledger transaction of *amount_minor*."""

    moves_money: ClassVar[bool] = True


class DepositFunds(MoneyCommand, frozen=True):
    """Take money in from `external:<currency>`."""

    kind: ClassVar[str] = "deposit"
    wallet_id: UUID
    amount_minor: int
    currency: str
    text: FreeText | None = None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the wallet, and its owner where the policy looks at owners."""
        return with_owners(known, (self.wallet_id,))

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not receive, else post it."""
        payee = context.any(rows, self.wallet_id)
        if payee is None:
            return missing_wallet(self.wallet_id)
        fee = payees_fee(Use(self.kind, payee), self.amount_minor, rows, context)
        count = count_deposit(payee, self.amount_minor, rows, context)
        refusal = refuse_credit(payee, self.amount_minor, self.currency, context.mandate, fee, limit=count.refusal)
        if refusal is not None:
            return refusal
        outside = external_account(payee.currency)
        return transaction(
            payee,
            context,
            self.text,
            FundsDeposited(payee.id, self.amount_minor, 0, outside),
            SystemEntry(payee.id, -self.amount_minor, outside),
            *fee_entries(payee, fee),
            usages=count.usages,
        )


class WithdrawFunds(MoneyCommand, frozen=True):
    """Pay money out to `external:<currency>`."""

    kind: ClassVar[str] = "withdrawal"
    wallet_id: UUID
    amount_minor: int
    currency: str
    text: FreeText | None = None

    @property
    def debits(self) -> UUID | None:
        """The wallet."""
        return self.wallet_id

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the wallet, and its owner where the policy looks at owners."""
        return with_owners(known, (self.wallet_id,))

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not spend, else post it."""
        payer = context.own(rows, self.wallet_id)
        if payer is None:
            return missing_wallet(self.wallet_id)
        fee = payers_fee(Use(self.kind, payer), self.amount_minor, rows, context)
        count = count_debit(payer, self.kind, self.amount_minor, rows, context)
        refusal = refuse_debit(payer, self.amount_minor, self.currency, context.mandate, fee, limit=count.refusal)
        if refusal is not None:
            return refusal
        outside = external_account(payer.currency)
        return transaction(
            payer,
            context,
            self.text,
            FundsWithdrawn(payer.id, -self.amount_minor, 0, outside),
            SystemEntry(payer.id, self.amount_minor, outside),
            *fee_entries(payer, fee),
            usages=count.usages,
        )


class TransferFunds(MoneyCommand, frozen=True):
    """Move money between two different wallets of one currency."""

    kind: ClassVar[str] = "transfer"
    source_wallet_id: UUID
    destination_wallet_id: UUID
    amount_minor: int
    currency: str
    text: FreeText | None = None

    @property
    def debits(self) -> UUID | None:
        """The payer's wallet."""
        return self.source_wallet_id

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return both wallets, and their owners where the policy looks at owners."""
        return with_owners(known, (self.source_wallet_id, self.destination_wallet_id))

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the payer may not spend or the payee not receive, else post both entries."""
        payer = context.own(rows, self.source_wallet_id)
        if payer is None:
            return missing_wallet(self.source_wallet_id)
        payee = context.any(rows, self.destination_wallet_id)
        if payee is None:
            return missing_wallet(self.destination_wallet_id)
        assert payer.id != payee.id, "the edge refuses a transfer to oneself"
        amount_minor, currency, mandate, use = self.amount_minor, self.currency, context.mandate, Use(self.kind, payer)
        paid = payers_fee(use, amount_minor, rows, context)
        taken = payees_fee(use, amount_minor, rows, context)
        count = count_debit(payer, self.kind, amount_minor, rows, context)
        full = refuse_balance(payee, amount_minor, rows, context)
        refusal = refuse_debit(payer, amount_minor, currency, mandate, paid, limit=count.refusal) or refuse_credit(
            payee, amount_minor, currency, mandate, taken, limit=full
        )
        if refusal is not None:
            return refusal
        return transaction(
            payer,
            context,
            self.text,
            FundsSent(payer.id, -amount_minor, 0, payee),
            FundsReceived(payee.id, amount_minor, 0, payer),
            *fee_entries(payer, paid),
            *fee_entries(payee, taken),
            usages=count.usages,
        )


def external_account(currency: str) -> str:
    """Return the system account for money outside the platform."""
    return f"external:{currency}"


def refuse_debit(
    payer: Wallet,
    amount_minor: int,
    currency: str,
    mandate: Mandate,
    fee: Fee | None = None,
    *,
    limit: Rejected | None = None,
) -> Rejected | None:
    """Return why *payer* may not spend the amount and the *fee* that it bears, or None; *limit* is what limits say."""
    refusal = _refuse_use(payer, currency, mandate, is_restricted=bool(payer.restrictions)) or limit
    if refusal is not None:
        return refusal
    required_minor = amount_minor + fee_minor_of(fee)
    if required_minor > payer.spendable_minor:
        return _too_little(payer, required_minor, fee)
    if payer.posted_minor - required_minor < -BALANCE_MINOR_MAX:
        return rejected(RefusalCode.BALANCE_OVERFLOW, payer)
    return None


def _refuse_use(wallet: Wallet, currency: str, mandate: Mandate, *, is_restricted: bool) -> Rejected | None:
    """Return why the wallet takes part in nothing in *currency*, or None."""
    if wallet.status == WalletStatus.CLOSED:
        return rejected(RefusalCode.WALLET_CLOSED, wallet)
    if is_restricted:
        return _frozen(wallet, mandate)
    if wallet.currency != currency:
        return rejected(RefusalCode.CURRENCY_MISMATCH, wallet, currency=wallet.currency)
    return None


def _too_little(payer: Wallet, required_minor: int, fee: Fee | None) -> Rejected:
    if fee is None:
        return rejected(RefusalCode.INSUFFICIENT_FUNDS, payer, available=available(payer))
    required, of_it = Amount(required_minor, payer.currency), Amount(fee.amount_minor, payer.currency)
    return rejected(RefusalCode.INSUFFICIENT_FUNDS, payer, available=available(payer), required=required, fee=of_it)


def refuse_credit(
    payee: Wallet,
    amount_minor: int,
    currency: str,
    mandate: Mandate,
    fee: Fee | None = None,
    *,
    limit: Rejected | None = None,
) -> Rejected | None:
    """Return why *payee* may not receive the amount, of which it bears the *fee*, or None; *limit* is what limits say.

    Whom the *mandate* does not let see the wallet learns that it refuses, and not why.
    """
    refusal = _refuse_credit(payee, amount_minor, currency, mandate, fee, limit=limit)
    if refusal is not None and not mandate.covers(payee.owner_id):
        return rejected(RefusalCode.PAYEE_REFUSES, payee)
    return refusal


def _refuse_credit(
    payee: Wallet, amount_minor: int, currency: str, mandate: Mandate, fee: Fee | None, *, limit: Rejected | None
) -> Rejected | None:
    is_restricted = bool(payee.restrictions) and payee.refuses_credits
    refusal = _refuse_use(payee, currency, mandate, is_restricted=is_restricted) or limit
    if refusal is not None:
        return refusal
    if fee is not None and fee.amount_minor > amount_minor:
        return rejected(RefusalCode.FEE_EXCEEDS_AMOUNT, payee, fee=Amount(fee.amount_minor, payee.currency))
    if payee.posted_minor + amount_minor > BALANCE_MINOR_MAX:
        return rejected(RefusalCode.BALANCE_OVERFLOW, payee)
    return None


def transaction(
    home: Wallet,
    context: Context,
    text: FreeText | None,
    *facts: EntryFact | SystemEntry,
    usages: tuple[UsageChange, ...] = (),
) -> Accepted:
    """Return the ledger transaction of *facts*, whose id stands in the shard of its *home* wallet."""
    transaction_id = context.ids.beside(home.id)
    return Accepted(facts, transaction_id, transaction_id, text, usages=usages)


def _frozen(wallet: Wallet, mandate: Mandate) -> Rejected:
    """Return that the wallet is restricted; by whom is for staff to know."""
    if not mandate.sees_restrictions:
        return rejected(RefusalCode.WALLET_FROZEN, wallet)
    return rejected(RefusalCode.WALLET_FROZEN, wallet, restrictions=_in_force(wallet))


def _in_force(wallet: Wallet) -> tuple[RestrictedBy, ...]:
    return tuple(RestrictedBy(restriction.source, restriction.scope) for restriction in wallet.restrictions)
