"""What an answer must tell of what was done, and what is kept of it."""

from datetime import datetime, timedelta
from typing import Any

from tests.mix.amounts import units
from tests.mix.exchange import Quote
from tests.mix.model import World
from tests.mix.returning import Posted
from tests.mix.things import Done, Hold

Json = dict[str, Any]


def check(world: World, done: Done, body: Json) -> None:
    """Raise AssertionError where an answer tells another thing than what must have been *done*; keep what was made."""
    if done.made is not None:
        keep(world, done, body["id"])
    if done.entries:
        told = [(each.get("wallet_id") or each["system_account"], minor(each["amount"])) for each in body["entries"]]
        assert told == done.entries, (told, done.entries)
        fees = [(each["rule"], each["wallet_id"], minor(each["amount"])) for each in body["fees"]]
        assert sorted(fees) == sorted(done.fees), (fees, done.fees)
    elif done.hold is not None:
        check_hold(done.hold, body)
    elif done.quote is not None:
        promised = (minor(body["source_amount"]), minor(body["destination_amount"]), body["spread_ppm"])
        assert promised == (done.quote.source, done.quote.destination, done.quote.spread_ppm), (promised, done.quote)


def keep(world: World, done: Done, made_id: str) -> None:
    """Keep what was made, if anything, under its id."""
    if done.made is not None:
        _kept(world, done.made)[made_id] = done.made
        world.forget()


def _kept(world: World, made: Any) -> dict[str, Any]:
    """Return where *world* keeps what is of that kind."""
    if isinstance(made, Hold):
        return world.holds
    if isinstance(made, Posted):
        return world.transactions
    return world.quotes if isinstance(made, Quote) else world.wallets


def check_hold(hold: Hold, body: Json) -> None:
    """Raise AssertionError where *body* is not the hold."""
    names = ("amount", "fee_reserved", "captured", "released", "remaining")
    told = (body["status"], *(minor(body[name]) for name in names))
    wanted = (hold.status, hold.placed, hold.fee_left, hold.captured, hold.released, hold.remaining)
    assert told == wanted, (told, wanted)


def check_wallet(world: World, wallet_id: str, body: Json) -> None:
    """Raise AssertionError where *body* is not the wallet."""
    wallet = world.wallets[wallet_id]
    told = tuple(minor(body["balance"][name]) for name in ("posted", "held", "available"))
    wanted = (wallet.posted, world.held(wallet_id), world.available(wallet_id))
    assert told == wanted, (told, wanted)
    status = "closed" if wallet.is_closed else "frozen" if wallet.scope else "open"
    assert body["status"] == status, (body["status"], status)


def minor(amount: Json) -> int:
    """Return an amount of an answer in minor units."""
    sign = -1 if amount["amount"].startswith("-") else 1
    return sign * units(amount["amount"].lstrip("-"), amount["currency"])


def is_due(hold: Hold, now: datetime, margin: timedelta) -> bool:
    """Tell whether the hold ends within *margin*, or has ended and nobody has released it yet."""
    return hold.status == "open" and hold.expires_at <= now + margin
