"""Money moves: deposits, withdrawals, transfers."""

from typing import ClassVar
from uuid import UUID

from contracts import events
from contracts.event_types import EventType
from wallet.domain.commands import Command, Context
from wallet.domain.facts import EntryFact, SystemEntry
from wallet.domain.fees import Use, fee_entries
from wallet.domain.outcomes import Accepted, Decision, missing_wallet
from wallet.domain.rows import RowName, Rows, UsageChange
from wallet.domain.sides import depositors_side, payees_side, payers_side
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet


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
        """Return the wallet."""
        del known
        return (self.wallet_id,)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not receive, else post it."""
        payee = context.any(rows, self.wallet_id)
        if payee is None:
            return missing_wallet(self.wallet_id)
        credit = depositors_side(Use(self.kind, payee, self.currency), self.amount_minor, rows, context)
        if credit.refusal is not None:
            return credit.refusal
        outside = external_account(payee.currency)
        facts = (
            FundsDeposited(payee.id, self.amount_minor, 0, outside),
            SystemEntry(payee.id, -self.amount_minor, outside),
            *fee_entries(payee, credit.fee),
        )
        return transaction(payee, context, self.text, facts, credit.usages)


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
        """Return the wallet."""
        del known
        return (self.wallet_id,)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not spend, else post it."""
        payer = context.own(rows, self.wallet_id)
        if payer is None:
            return missing_wallet(self.wallet_id)
        debit = payers_side(Use(self.kind, payer), self.amount_minor, self.currency, rows, context)
        if debit.refusal is not None:
            return debit.refusal
        outside = external_account(payer.currency)
        facts = (
            FundsWithdrawn(payer.id, -self.amount_minor, 0, outside),
            SystemEntry(payer.id, self.amount_minor, outside),
            *fee_entries(payer, debit.fee),
        )
        return transaction(payer, context, self.text, facts, debit.usages)


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
        """Return both wallets."""
        del known
        return self.source_wallet_id, self.destination_wallet_id

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the payer may not spend or the payee not receive, else post both entries."""
        payer = context.own(rows, self.source_wallet_id)
        if payer is None:
            return missing_wallet(self.source_wallet_id)
        payee = context.any(rows, self.destination_wallet_id)
        if payee is None:
            return missing_wallet(self.destination_wallet_id)
        assert payer.id != payee.id, "the edge refuses a transfer to oneself"
        amount_minor, use = self.amount_minor, Use(self.kind, payer)
        debit = payers_side(use, amount_minor, self.currency, rows, context)
        if debit.refusal is not None:
            return debit.refusal
        credit = payees_side(use, payee, amount_minor, rows, context)
        if credit.refusal is not None:
            return credit.refusal
        sent, received = FundsSent(payer.id, -amount_minor, 0, payee), FundsReceived(payee.id, amount_minor, 0, payer)
        facts: tuple[EntryFact | SystemEntry, ...] = sent, received
        if debit.fee is not None or credit.fee is not None:
            facts = (*facts, *fee_entries(payer, debit.fee), *fee_entries(payee, credit.fee))
        return transaction(payer, context, self.text, facts, debit.usages)


def external_account(currency: str) -> str:
    """Return the system account for money outside the platform."""
    return f"external:{currency}"


def transaction(
    home: Wallet,
    context: Context,
    text: FreeText | None,
    facts: tuple[EntryFact | SystemEntry, ...],
    usages: tuple[UsageChange, ...],
) -> Accepted:
    """Return the ledger transaction of *facts*, whose id stands in the shard of its *home* wallet."""
    transaction_id = context.ids.beside(home.id)
    return Accepted(facts, transaction_id, transaction_id, text, usages=usages)
