"""What must become of commands that move money at once: deposits, withdrawals, transfers, payments, conversions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.mix import exchange
from tests.mix.amounts import Refused, shared
from tests.mix.exchange import Quote
from tests.mix.model import World
from tests.mix.things import Done

Payees = Sequence[Mapping[str, Any]]
"""As they are asked for."""


def deposit(of: World, wallet: str, amount: int) -> Done:
    """Take money in."""
    currency = of.wallets[wallet].currency
    fee = of.fee("deposit", "payee", currency, amount, wallet)
    of.must_take(wallet, amount, currency, fee[1], "deposit")
    of.count(wallet, "deposit", amount)
    done = Done([(wallet, amount), (f"external:{currency}", -amount)])
    return of.posted("deposit", done.charge(wallet, currency, fee))


def withdrawal(of: World, wallet: str, amount: int) -> Done:
    """Pay money out."""
    currency = of.wallets[wallet].currency
    fee = of.fee("withdrawal", "payer", currency, amount, wallet)
    of.must_pay(wallet, amount, fee[1], "withdrawal")
    of.count(wallet, "withdrawal", amount)
    done = Done([(wallet, -amount), (f"external:{currency}", amount)])
    return of.posted("withdrawal", done.charge(wallet, currency, fee))


def transfer(of: World, source: str, destination: str, amount: int) -> Done:
    """Move money between two wallets."""
    currency = of.wallets[source].currency
    fee = of.fee("transfer", "payer", currency, amount, source)
    taken = of.fee("transfer", "payee", currency, amount, source)
    of.must_pay(source, amount, fee[1], "transfer")
    of.must_take(destination, amount, currency, taken[1])
    of.count(source, "transfer", amount)
    done = Done([(source, -amount), (destination, amount)])
    return of.posted("transfer", done.charge(source, currency, fee).charge(destination, currency, taken))


def payment(of: World, source: str, amount: int, payees: Payees) -> Done:
    """Pay to many."""
    currency = of.wallets[source].currency
    parts = shared(amount, payees)
    fee = of.fee("payment", "payer", currency, amount, source)
    of.must_pay(source, amount, fee[1], "payment")
    done = Done([(source, -amount)])
    pay_out(of, "payment", source, payees, parts, done=done)
    of.count(source, "payment", amount)
    return of.posted("payment", done.charge(source, currency, fee))


def pay_out(of: World, operation: str, payer: str, payees: Payees, parts: Sequence[int], *, done: Done) -> None:
    """Give each payee its part, in *done*."""
    currency = of.wallets[payer].currency
    for payee, part in zip(payees, parts, strict=True):
        wallet_id = payee.get("wallet_id")
        if wallet_id is None:
            done.entries.append((f"external:{currency}", part))
            continue
        if wallet_id == payer:
            raise Refused("same_wallet")
        fee = of.fee(operation, "payee", currency, part, payer)
        of.must_take(wallet_id, part, currency, fee[1])
        done.entries.append((wallet_id, part))
        done.charge(wallet_id, currency, fee)


def quote(of: World, pair: tuple[str, str], amount: int, until: datetime, *, is_destination: bool) -> Done:
    """Promise what an amount comes to; *is_destination*: what it costs to get it."""
    source, destination = pair
    spread = exchange.spread_of(of.fx, source, destination)
    if spread is None:
        raise Refused("pair_not_offered", 422)
    mid = exchange.mid_rate(source, destination)
    rate = exchange.in_minor(mid, source, destination)
    gives = exchange.source_of(amount, rate, spread) if is_destination else amount
    gets = amount if is_destination else exchange.destination_of(amount, rate, spread)
    if gets == 0:
        raise Refused("quote_amount_out_of_range", 422)
    promised = Quote(source, destination, gives, gets, mid, spread, until)
    return Done(made=promised, quote=promised)


def convert(of: World, quote_id: str, payer: str, payee: str) -> Done:
    """Use a quote."""
    found = of.quotes[quote_id]
    if quote_id in of.used:
        raise Refused("quote_used")
    if found.expires_at < of.at:
        raise Refused("quote_expired")
    fee = of.fee("conversion", "payer", found.source_currency, found.source, payer)
    taken = of.fee("conversion", "payee", found.destination_currency, found.destination, payer)
    of.must_pay(payer, found.source, fee[1], "conversion", found.source_currency)
    of.must_take(payee, found.destination, found.destination_currency, taken[1])
    of.used.add(quote_id)
    of.count(payer, "conversion", found.source)
    done = Done(exchange.entries(found, payer, payee))
    done.charge(payer, found.source_currency, fee).charge(payee, found.destination_currency, taken)
    return of.posted("conversion", done)
