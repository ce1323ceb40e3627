"""Quotes: what a conversion would come to, promised for a short time. They have no events: nothing has happened yet."""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts.money import AMOUNT_MINOR_MAX
from wallet.domain.commands import Command, Context
from wallet.domain.fee_rules import PAYEE, PAYER
from wallet.domain.fx import Exchange, MidRate, exchange
from wallet.domain.limits import DEFAULT_TIER
from wallet.domain.outcomes import (
    Accepted,
    Amount,
    Decision,
    Missing,
    NotNow,
    RefusalCode,
    Rejected,
    Subject,
)
from wallet.domain.policy import POLICY, policy_id
from wallet.domain.rows import RowKind, RowName, Rows, StateName, StateRow

LASTS_S: Final = 30
LASTS_S_MAX: Final = 300
"""How long a quote can be used, in seconds: unless it is asked for otherwise, and at most."""
UNUSED_DAYS: Final = 7
"""How long a quote that nobody used is kept."""


class QuoteStatus(IntEnum):
    """Whether a quote can be used, and why not. The numbers are stored."""

    OPEN = 0
    USED = 1
    EXPIRED = 2

    @property
    def label(self) -> str:
        """Its name to clients."""
        return self.name.lower()


class QuotedFee(msgspec.Struct, frozen=True):
    """What a conversion costs besides, by the rules of the default tier, in the currency that *bearer* deals in."""

    bearer: str
    rule: str
    amount_minor: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a quote's row holds besides its columns: its cap is one use.

    *source_minor* of the payer's currency come to *destination_minor* of the payee's, at *mid_rate* less the spread.
    *source* and *as_of* are the rate's. *transaction_id* is the conversion that used it.
    """

    source_currency: str
    destination_currency: str
    source_minor: int
    destination_minor: int
    mid_rate: str
    spread_ppm: int
    as_of: datetime
    source: str
    quoted_at: datetime
    expires_at: datetime
    transaction_id: UUID | None = None
    fees: tuple[QuotedFee, ...] = ()

    @property
    def exchange(self) -> Exchange:
        """The pair at the quote's rate."""
        return exchange(self.mid_rate, self.spread_ppm, self.source_currency, self.destination_currency)


QUOTE: Final = RowKind(4, "quote", Quote, has_events=False)


def quote_of(row: StateRow) -> Quote:
    """Return the body of a quote's row."""
    assert isinstance(row.body, Quote)
    return row.body


class RequestQuote(Command, frozen=True):
    """Promise what *source_minor* come to, or what *destination_minor* cost: one of both is given.

    *mid* is the pair's rate as it was read when the command was sent, None where there was no fresh one. It is no part
    of what the sender asked for, nor of the command's fingerprint.
    """

    kind: ClassVar[str] = "quote"
    source_currency: str
    destination_currency: str
    source_minor: int | None = None
    destination_minor: int | None = None
    valid_s: int = LASTS_S
    mid: MidRate | None = None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return nothing: every batch names the policies of its tenants."""
        del known
        return ()

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a pair that is not offered and an amount that comes to nothing or too much, else promise it."""
        del rows
        tenant_id = context.mandate.tenant_id
        policy = Subject(POLICY.name, policy_id(tenant_id))
        spread_ppm = context.policy.policy.fx.spread_of(self.source_currency, self.destination_currency)
        if spread_ppm is None:
            pair = {"source_currency": self.source_currency, "destination_currency": self.destination_currency}
            return Rejected(RefusalCode.PAIR_NOT_OFFERED, policy, pair)
        if self.mid is None:
            return NotNow(RATE_UNAVAILABLE, "There is no fresh rate of the pair.")
        quote = _with_fees(self._quote(self.mid, spread_ppm, context.now), context)
        if not _is_in_range(quote):
            source = Amount(quote.source_minor, quote.source_currency)
            destination = Amount(quote.destination_minor, quote.destination_currency)
            facts = {"source_amount": source, "destination_amount": destination}
            return Rejected(RefusalCode.QUOTE_AMOUNT_OUT_OF_RANGE, policy, facts)
        quote_id = context.ids.beside(context.mandate.client)
        row = StateRow(
            kind=QUOTE.number,
            id=quote_id,
            tenant_id=tenant_id,
            wallet_id=None,
            status=QuoteStatus.OPEN.value,
            cap_minor=1,
            used_minor=0,
            due_at=quote.expires_at,
            version=1,
            changed_at=context.now,
            body=quote,
            private=None,
        )
        return Accepted((), resource_id=quote_id, states=(row,))

    def _quote(self, mid: MidRate, spread_ppm: int, now: datetime) -> Quote:
        at = exchange(mid.rate, spread_ppm, self.source_currency, self.destination_currency)
        source_minor, destination_minor = self.source_minor, self.destination_minor
        if source_minor is None:
            assert destination_minor is not None
            source_minor = at.source_minor(destination_minor)
        elif destination_minor is None:
            destination_minor = at.destination_minor(source_minor)
        assert destination_minor is not None
        return Quote(
            source_currency=self.source_currency,
            destination_currency=self.destination_currency,
            source_minor=source_minor,
            destination_minor=destination_minor,
            mid_rate=mid.rate,
            spread_ppm=spread_ppm,
            as_of=mid.as_of,
            source=mid.source,
            quoted_at=now,
            expires_at=now + timedelta(seconds=self.valid_s),
        )


def _with_fees(quote: Quote, context: Context) -> Quote:
    """Return *quote* with the fees of whoever is of no tier of its own: who converts is not known yet."""
    rules, at = context.policy.policy.rules, context.now
    sides = (
        (PAYER, quote.source_currency, quote.source_minor),
        (PAYEE, quote.destination_currency, quote.destination_minor),
    )
    fees = []
    for bearer, currency, amount_minor in sides:
        rule = rules.find("conversion", currency, bearer, tier=DEFAULT_TIER, at=at)
        fee_minor = 0 if rule is None else rule.fee_minor(amount_minor)
        if rule is not None and fee_minor:
            fees.append(QuotedFee(bearer, rule.id, fee_minor))
    return msgspec.structs.replace(quote, fees=tuple(fees)) if fees else quote


RATE_UNAVAILABLE: Final = "rate_unavailable"
"""Why a quote cannot be given now."""


def _is_in_range(quote: Quote) -> bool:
    """Tell whether no amount that the conversion would post comes to nothing or is larger than any amount may be."""
    mid_minor = quote.exchange.mid_minor(quote.source_minor)
    amounts = quote.source_minor, quote.destination_minor, mid_minor
    return min(amounts) > 0 and max(amounts) <= AMOUNT_MINOR_MAX


class ExpireQuote(Command, frozen=True):
    """End a quote that was not used by *due_at*, the end that its sender saw.

    Whether a quote may be used is told by its end, not by this: it only makes room.
    """

    kind: ClassVar[str] = "expire_quote"
    quote_id: UUID
    due_at: datetime

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the quote."""
        del known
        return (StateName(QUOTE.number, self.quote_id),)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse where it was used, or has expired already, else let it expire."""
        row = rows.state(QUOTE, self.quote_id, context.mandate.tenant_id)
        if row is None:
            return Missing(QUOTE.name, self.quote_id)
        refusal = refuse_settled(row)
        if refusal is not None:
            return refusal
        kept_until = quote_of(row).expires_at + timedelta(days=UNUSED_DAYS)
        expired = msgspec.structs.replace(
            row,
            status=QuoteStatus.EXPIRED.value,
            due_at=kept_until,
            version=row.version + 1,
            changed_at=max(context.now, row.changed_at),
        )
        return Accepted((), states=(expired,))


def refuse_settled(row: StateRow) -> Rejected | None:
    """Return why the quote cannot be used any more, or None while it is open."""
    if row.status == QuoteStatus.USED:
        return Rejected(RefusalCode.QUOTE_USED, Subject(QUOTE.name, row.id), {})
    if row.status == QuoteStatus.EXPIRED:
        return Rejected(RefusalCode.QUOTE_EXPIRED, Subject(QUOTE.name, row.id), {})
    return None
