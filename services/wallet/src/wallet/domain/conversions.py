"""Conversions: money of one currency becomes money of another, as a quote promised."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from contracts import events
from contracts.money import money
from wallet.domain.commands import Context
from wallet.domain.facts import About, AnyFact, SystemEntry
from wallet.domain.fees import Use, fee_entries
from wallet.domain.fx import client_rate
from wallet.domain.money import FundsReceived, FundsSent, MoneyCommand
from wallet.domain.outcomes import Accepted, Decision, Missing, RefusalCode, Rejected, Subject, missing_wallet
from wallet.domain.quotes import QUOTE, Quote, QuoteStatus, quote_of, refuse_settled
from wallet.domain.rows import RowName, Rows, StateName, StateRow
from wallet.domain.sides import payees_side, payers_side
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet


class Convert(MoneyCommand, frozen=True):
    """Use the quote *quote_id*: the payer gives what it says, the payee, a wallet of another currency, gets it."""

    kind: ClassVar[str] = "conversion"
    quote_id: UUID
    source_wallet_id: UUID
    destination_wallet_id: UUID
    text: FreeText | None = None

    @property
    def debits(self) -> UUID | None:
        """The payer's wallet."""
        return self.source_wallet_id

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the quote and both wallets."""
        del known
        return StateName(QUOTE.number, self.quote_id), self.source_wallet_id, self.destination_wallet_id

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a quote that is over, what the payer may not spend and the payee not receive, else post it."""
        mandate = context.mandate
        row = rows.state(QUOTE, self.quote_id, mandate.tenant_id)
        if row is None:
            return Missing(QUOTE.name, self.quote_id)
        payer = context.own(rows, self.source_wallet_id)
        if payer is None:
            return missing_wallet(self.source_wallet_id)
        payee = context.any(rows, self.destination_wallet_id)
        if payee is None:
            return missing_wallet(self.destination_wallet_id)
        assert payer.id != payee.id, "the edge refuses a conversion to oneself"
        quote = quote_of(row)
        over = _refuse_over(row, quote, context.now)
        if over is not None:
            return over
        use = Use(self.kind, payer, quote.destination_currency)
        debit = payers_side(use, quote.source_minor, quote.source_currency, rows, context)
        credit = payees_side(use, payee, quote.destination_minor, rows, context)
        refusal = debit.refusal or credit.refusal
        if refusal is not None:
            return refusal
        transaction_id = context.ids.beside(payer.id)
        used = _used(row, quote, transaction_id, context.now)
        fees = (*fee_entries(payer, debit.fee), *fee_entries(payee, credit.fee))
        facts = (*entries(payer, payee, row.id, quote), *fees)
        return Accepted(facts, transaction_id, transaction_id, self.text, states=(used,), usages=debit.usages)


def _refuse_over(row: StateRow, quote: Quote, now: datetime) -> Rejected | None:
    refusal = refuse_settled(row)
    if refusal is None and now >= quote.expires_at:
        return Rejected(RefusalCode.QUOTE_EXPIRED, Subject(QUOTE.name, row.id), {})
    return refusal


def _used(row: StateRow, quote: Quote, transaction_id: UUID, now: datetime) -> StateRow:
    return msgspec.structs.replace(
        row,
        status=QuoteStatus.USED.value,
        used_minor=1,
        due_at=None,
        version=row.version + 1,
        changed_at=max(now, row.changed_at),
        body=msgspec.structs.replace(quote, transaction_id=transaction_id),
    )


def entries(payer: Wallet, payee: Wallet, quote_id: UUID, quote: Quote) -> tuple[AnyFact, ...]:
    """Return the conversion's entries, which sum to zero in each of its currencies.

    What the rounding of the others leaves goes to an account of its own. Those of the payee's currency stand in the
    payee's stream.
    """
    source_minor, destination_minor = quote.source_minor, quote.destination_minor
    at, to = quote.exchange, quote.destination_currency
    mid_minor, spread_minor = at.mid_minor(source_minor), at.spread_minor(source_minor)
    rounded_minor = mid_minor - destination_minor - spread_minor
    conversion = events.Conversion(
        rate=client_rate(quote.mid_rate, quote.spread_ppm),
        source=money(source_minor, quote.source_currency),
        destination=money(destination_minor, to),
    )
    about = About(quote_id=str(quote_id), conversion=conversion)
    rest = ((f"spread:{to}", spread_minor), (f"rounding:{to}", rounded_minor))
    return (
        FundsSent(payer.id, -source_minor, 0, payee, about),
        SystemEntry(payer.id, source_minor, f"fx:{quote.source_currency}"),
        FundsReceived(payee.id, destination_minor, 0, payer, about),
        SystemEntry(payee.id, -mid_minor, f"fx:{to}"),
        *(SystemEntry(payee.id, minor, account) for account, minor in rest if minor),
    )
