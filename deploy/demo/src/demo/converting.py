"""Quotes and conversions."""

from typing import Any

from demo import rates
from demo.books import Books, Draft, amount
from demo.money import to_minor
from demo.operations import Convert, Quote
from demo.pricing import fee_of, rule_for
from demo.states import QuoteState, Refused


def quote(books: Books, command: Quote) -> QuoteState:
    """Promise what an amount comes to."""
    spread_ppm = rates.spread_of(books.fx, command.source, command.target)
    if spread_ppm is None:
        raise Refused("pair_not_offered", 422)
    gives = None if command.source_amount is None else to_minor(command.source_amount, command.source)
    gets = None if command.target_amount is None else to_minor(command.target_amount, command.target)
    return rates.promise(command.source, command.target, spread_ppm, gives=gives, gets=gets)


def shown(books: Books, promised: QuoteState) -> dict[str, Any]:
    """Return what must be told of a new quote: its fees are those of whoever has no tier."""
    fees = []
    for bearer, currency, minor in (
        ("payer", promised.source, promised.source_minor),
        ("payee", promised.target, promised.target_minor),
    ):
        rule = rule_for(books.fees, ("conversion", bearer), currency, None)
        if rule is not None and fee_of(rule, minor):
            fees.append({"bearer": bearer, "rule": rule["id"], "amount": amount(fee_of(rule, minor), currency)})
    return {
        "status": "open",
        "source_amount": amount(promised.source_minor, promised.source),
        "destination_amount": amount(promised.target_minor, promised.target),
        "mid_rate": rates.decimal(promised.mid),
        "rate": rates.decimal(rates.client_rate(promised)),
        "spread_ppm": promised.spread_ppm,
        "fees": fees,
    }


def convert(books: Books, promised: QuoteState, command: Convert, draft: Draft) -> None:
    """Use a quote."""
    payer, payee = books.wallet(command.source), books.wallet(command.target)
    if promised.is_used:
        raise Refused("quote_used")
    gives, gets = promised.source_minor, promised.target_minor
    paid = books.fee("conversion", "payer", payer, gives, payer)
    taken = books.fee("conversion", "payee", payee, gets, payer)
    books.must_pay(payer, gives, promised.source, paid, "conversion")
    books.must_take(payee, gets, promised.target, taken, is_concealed=draft.conceals(payee))
    promised.is_used = True
    given, spread, rest = rates.sides(promised)
    draft.move(payer, -gives)
    draft.account("fx", promised.source, gives)
    draft.move(payee, gets)
    draft.account("fx", promised.target, -given)
    for kind, minor in (("spread", spread), ("rounding", rest)):
        if minor:
            draft.account(kind, promised.target, minor)
    draft.charge(paid)
    draft.charge(taken)
    books.count(payer, gives, "conversion")
