"""Payments from one wallet to many, in one ledger transaction."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple
from uuid import UUID

from wallet.domain.commands import Context
from wallet.domain.destinations import Destination, share_out
from wallet.domain.facts import EntryFact, SystemEntry
from wallet.domain.fees import Use, fee_entries
from wallet.domain.money import (
    FundsReceived,
    FundsSent,
    FundsWithdrawn,
    MoneyCommand,
    external_account,
    transaction,
)
from wallet.domain.outcomes import (
    Decision,
    Missing,
    RefusalCode,
    Rejected,
    missing_wallet,
    rejected,
)
from wallet.domain.rows import RowName, Rows
from wallet.domain.sides import payees_side, payers_side
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet


class MakePayment(MoneyCommand, frozen=True):
    """Pay *amount_minor* of a wallet to *destinations*, no wallet twice and not the payer."""

    kind: ClassVar[str] = "payment"
    source_wallet_id: UUID
    amount_minor: int
    currency: str
    destinations: tuple[Destination, ...]
    text: FreeText | None = None

    @property
    def debits(self) -> UUID | None:
        """The payer's wallet."""
        return self.source_wallet_id

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the payer and every payee here."""
        del known
        return self.source_wallet_id, *wallets_of(self.destinations)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what cannot be shared out, the payer not spend or a payee not receive, else post all entries."""
        payer = context.own(rows, self.source_wallet_id)
        if payer is None:
            return missing_wallet(self.source_wallet_id)
        parts = share_out(self.amount_minor, self.destinations)
        if isinstance(parts, RefusalCode):
            return rejected(parts, payer)
        use = Use(self.kind, payer)
        debit = payers_side(use, self.amount_minor, self.currency, rows, context)
        if debit.refusal is not None:
            return debit.refusal
        paid = pay_out(use, self.destinations, parts, rows, context)
        if not isinstance(paid, Paid):
            return paid
        entry = FundsWithdrawn if paid.is_all_outside else FundsSent
        sent = entry(payer.id, -self.amount_minor, 0, paid.counterparty)
        facts = (sent, *paid.facts, *fee_entries(payer, debit.fee))
        return transaction(payer, context, self.text, facts, debit.usages)


class Paid(NamedTuple):
    """What payees get: their *facts*, and whom the payer dealt with, None where they are several."""

    facts: Sequence[EntryFact | SystemEntry]
    counterparty: Wallet | str | None
    is_all_outside: bool


def wallets_of(destinations: Sequence[Destination]) -> tuple[UUID, ...]:
    """Return the wallets among *destinations*."""
    return tuple(each.wallet_id for each in destinations if each.wallet_id is not None)


def pay_out(
    use: Use, destinations: Sequence[Destination], parts: Sequence[int], rows: Rows, context: Context
) -> Paid | Missing | Rejected:
    """Return the entries that give each of *destinations* its part of the payer's money, or why one may not have it.

    The payer is who *use* is about.
    """
    payer = use.tiered
    facts: list[EntryFact | SystemEntry] = []
    counterparty: Wallet | str | None = None
    for destination, part_minor in zip(destinations, parts, strict=True):
        if destination.wallet_id is None:
            counterparty = outside = external_account(payer.currency)
            facts.append(SystemEntry(payer.id, part_minor, outside))
            continue
        payee = context.any(rows, destination.wallet_id)
        if payee is None:
            return missing_wallet(destination.wallet_id)
        if payee.id == payer.id:
            return rejected(RefusalCode.SAME_WALLET, payee)
        credit = payees_side(use, payee, part_minor, rows, context)
        if credit.refusal is not None:
            return credit.refusal
        counterparty = payee
        facts += (FundsReceived(payee.id, part_minor, 0, payer), *fee_entries(payee, credit.fee))
    is_one = len(destinations) == 1
    return Paid(facts, counterparty if is_one else None, is_one and isinstance(counterparty, str))
