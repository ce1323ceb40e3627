"""How money is asked to move: deposits, withdrawals, transfers, payments, quotes and conversions."""

from datetime import timedelta
from typing import Final

from tests.mix import moving
from tests.mix.amounts import EXPONENTS, money, text
from tests.mix.model import World
from tests.mix.steps import Chance, Step, Weights, plain
from tests.mix.things import Json

from servicekit.clock import utc_now

QUOTED_FOR: Final = timedelta(seconds=120)
SURELY: Final = timedelta(seconds=5)
"""How long after its end, as the client knows it, a quote is over."""


def deposit(chance: Chance, world: World) -> Step:
    """Return a deposit."""
    return deposit_into(chance, world, chance.wallet(world))


def deposit_into(chance: Chance, world: World, wallet: str) -> Step:
    """Return a deposit into a wallet."""
    amount = chance.random.randint(1, 100_000)
    body = {"wallet_id": wallet, "amount": money(amount, world.wallets[wallet].currency)}
    return plain("/v1/deposits", "deposit", body, lambda of: moving.deposit(of, wallet, amount))


def withdrawal(chance: Chance, world: World) -> Step:
    """Return a withdrawal."""
    wallet = chance.wallet(world)
    amount = chance.amount(world, wallet)
    body = {"wallet_id": wallet, "amount": money(amount, world.wallets[wallet].currency)}
    return plain("/v1/withdrawals", "withdrawal", body, lambda of: moving.withdrawal(of, wallet, amount))


def transfer(chance: Chance, world: World) -> Step | None:
    """Return a transfer between two wallets, mostly of one currency."""
    source = chance.wallet(world)
    destination = chance.wallet_of(world, world.wallets[source].currency)
    if source == destination:
        return None
    amount = chance.amount(world, source)
    asked = money(amount, world.wallets[source].currency)
    body = {"source_wallet_id": source, "destination_wallet_id": destination, "amount": asked}
    return plain("/v1/transfers", "transfer", body, lambda of: moving.transfer(of, source, destination, amount))


def payment(chance: Chance, world: World) -> Step:
    """Return a payment to several."""
    source = chance.wallet(world)
    amount = chance.amount(world, source)
    payees = chance.payees(world, source, amount)
    asked = money(amount, world.wallets[source].currency)
    body = {"source_wallet_id": source, "amount": asked, "destinations": payees}
    return plain("/v1/payments", "payment", body, lambda of: moving.payment(of, source, amount, payees))


def quote(chance: Chance, _world: World) -> Step:
    """Return a request for a quote, by what it costs or by what it comes to; some last a second."""
    source, destination = chance.random.sample(sorted(EXPONENTS), 2)
    lasts = timedelta(seconds=1) if chance.is_once_in(10) else QUOTED_FOR
    amount, is_destination = chance.random.randint(1, 5_000), chance.is_once_in(3)
    asked = ("destination_amount", destination) if is_destination else ("source_amount", source)
    body: Json = {
        "source_currency": source,
        "destination_currency": destination,
        asked[0]: text(amount, asked[1]),
        "valid_s": int(lasts.total_seconds()),
    }
    until = utc_now() + lasts
    pair = source, destination
    return plain(
        "/v1/fx/quotes", "quote", body, lambda of: moving.quote(of, pair, amount, until, is_destination=is_destination)
    )


def convert(chance: Chance, world: World) -> Step | None:
    """Return the use of a quote that is surely fresh, or surely over, between wallets that mostly fit it."""
    now = utc_now()
    fresh = [each for each, found in world.quotes.items() if found.expires_at > now + QUOTED_FOR / 2]
    over = [each for each, found in world.quotes.items() if found.expires_at < now - SURELY]
    chosen = over[-5:] if over and chance.is_once_in(20) else fresh[-10:]
    if not chosen:
        return None
    quote_id = chance.random.choice(chosen)
    found = world.quotes[quote_id]
    payer, payee = chance.wallet_of(world, found.source_currency), chance.wallet_of(world, found.destination_currency)
    if payer == payee:
        return None
    body = {"quote_id": quote_id, "source_wallet_id": payer, "destination_wallet_id": payee}
    return plain("/v1/conversions", "conversion", body, lambda of: moving.convert(of, quote_id, payer, payee))


WEIGHTS: Final[Weights] = {deposit: 10, withdrawal: 6, transfer: 30, payment: 10, quote: 6, convert: 7}
