"""Quotes and conversions."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.asking import Asking
from services.wallet.tests.money_model.figures import PPM, between, cost, exchanged, worth
from services.wallet.tests.money_model.things import LARGEST, Entry, Promise, Refusal, Sum


class Exchange(Asking):
    """Money of one currency for money of another."""

    def ask_for_quote(self, name: str, command: asked.AskForQuote) -> None:
        """Promise what a conversion comes to."""
        source, destination = command.source, command.destination
        if (source, destination) not in self.policy.pairs:
            raise Refusal("pair_not_offered", None, source_currency=source, destination_currency=destination)
        if command.rate is None:
            raise Refusal("rate_unavailable")
        own = self.policy.pairs[source, destination]
        spread = Fraction(self.policy.spread_ppm if own is None else own, PPM)
        at = between(command.rate, source, destination)
        gives = cost(command.gets or 0, at, spread) if command.gives is None else command.gives
        gets = worth(gives, at, spread) if command.gets is None else command.gets
        if min(gives, gets) <= 0 or max(gives, gets, exchanged(gives, at, spread).at_mid) > LARGEST:
            told = {"source_amount": Sum(gives, source), "destination_amount": Sum(gets, destination)}
            raise Refusal("quote_amount_out_of_range", None, **told)
        fees = [
            (bearer, fee.rule, fee.amount)
            for bearer, currency, amount in (("payer", source, gives), ("payee", destination, gets))
            if (fee := self.fee("conversion", bearer, None, currency, amount)) is not None
        ]
        ends_at = self.now + timedelta(seconds=command.valid_s)
        self.quotes[name] = Promise(source, destination, gives, gets, at, spread, ends_at, tuple(fees))

    def convert(self, name: str, command: asked.Convert) -> None:
        """Use a quote: once, and in time."""
        quote, payer, payee = self.quotes[command.quote], command.payer, command.payee
        self._refuse_over(command.quote)
        if self.now >= quote.ends_at:
            raise Refusal("quote_expired", command.quote)
        paid = self.payers_fee("conversion", payer, quote.gives)
        taken = self.payees_fee("conversion", payer, quote.destination, quote.gets)
        self.ask_payer(payer, quote.gives, quote.source, paid, "conversion")
        self.ask_payee(payee, quote.gets, quote.destination, taken, self.refuse_balance)
        self.count_debit(payer, "conversion", quote.gives)
        self.quotes[command.quote] = replace(quote, status="used")
        platform = exchanged(quote.gives, quote.at, quote.spread)
        to = quote.destination
        rest = [(f"spread:{to}", platform.kept), (f"rounding:{to}", platform.at_mid - quote.gets - platform.kept)]
        entries = [
            Entry(payer, None, quote.source, -quote.gives),
            Entry(payer, f"fx:{quote.source}", quote.source, quote.gives),
            Entry(payee, None, to, quote.gets),
            Entry(payee, f"fx:{to}", to, -platform.at_mid),
            *(Entry(payee, account, to, amount) for account, amount in rest if amount),
        ]
        self.post(name, "conversion", [*entries, *self.charged(payer, paid), *self.charged(payee, taken)])

    def expire_quote(self, _name: str, command: asked.ExpireQuote) -> None:
        """End a quote that nobody used."""
        self._refuse_over(command.quote)
        self.quotes[command.quote] = replace(self.quotes[command.quote], status="expired")

    def _refuse_over(self, quote: str) -> None:
        status = self.quotes[quote].status
        if status != "open":
            raise Refusal(f"quote_{status}", quote)
