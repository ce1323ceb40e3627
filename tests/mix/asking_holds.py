"""How holds are asked for: placed, increased, captured, voided."""

from datetime import datetime, timedelta
from typing import Any, Final

from tests.mix import holding
from tests.mix.amounts import money
from tests.mix.model import World
from tests.mix.steps import Chance, Step, Weights, on, plain
from tests.mix.things import Done, Hold, Json

from servicekit.clock import utc_now

TOO_LONG: Final = timedelta(days=40)


def place(chance: Chance, world: World) -> Step:
    """Return a hold: for hours, for some seconds, for as long as the policy says, or for too long."""
    wallet = chance.wallet(world)
    amount = chance.amount(world, wallet)
    until = _end(chance)
    body: Json = {"wallet_id": wallet, "amount": money(amount, world.wallets[wallet].currency)}
    if until is not None:
        body["expires_at"] = until.isoformat()
    return plain("/v1/holds", "hold", body, lambda of: holding.place(of, wallet, amount, until))


def _end(chance: Chance) -> datetime | None:
    kind = chance.random.random()
    if kind < 0.05:
        return utc_now() + timedelta(seconds=chance.random.randint(5, 8))
    if kind < 0.15:
        return None
    return utc_now() + (TOO_LONG if kind < 0.17 else timedelta(hours=20))


def increase(chance: Chance, world: World) -> Step | None:
    """Return an increase: by an amount, by some time, or by both."""
    found = chance.hold(world)
    if found is None:
        return None
    hold_id, hold = found
    amount = 0 if chance.is_once_in(4) else chance.amount(world, hold.wallet)
    until = _later(chance, hold) if not amount or chance.is_once_in(3) else None
    body: Json = {}
    if amount:
        body["amount"] = money(amount, world.wallets[hold.wallet].currency)
    if until is not None:
        body["expires_at"] = until.isoformat()
    thing = "hold", hold_id
    return on(thing, "increase", "increase_hold", body, lambda of: holding.increase(of, hold_id, amount, until))


def _later(chance: Chance, hold: Hold) -> datetime:
    """Return an end that is mostly a little later."""
    more = timedelta(seconds=chance.random.randint(2, 8))
    return hold.expires_at + chance.random.choice((more, more, more, timedelta(hours=5), TOO_LONG, -more))


def capture(chance: Chance, world: World) -> Step | None:
    """Return a capture to one or to many, mostly of no more than may be; some by force, of anything."""
    found = chance.hold(world)
    if found is None:
        return None
    hold_id, hold = found
    force = chance.is_once_in(10)
    most = hold.remaining * (20 if force else 11) // 10 + (1_000 if force else 1)
    amount = None if chance.random.random() < 0.3 else chance.random.randint(1, most)
    currency = world.wallets[hold.wallet].currency
    payees = chance.payees(world, hold.wallet, hold.remaining if amount is None else amount)
    final = chance.random.choice((None, None, False, True, True))
    body: Json = _to(chance, payees)
    if final is not None:
        body["final"] = final
    if force:
        body["force"] = True
    if amount is not None:
        body["amount"] = money(amount, currency)

    def model(of: World) -> Done:
        return holding.capture(of, hold_id, amount, payees, final=bool(final), force=force)

    return on(("hold", hold_id), "capture", "capture", body, model)


def _to(chance: Chance, payees: list[Json]) -> Json:
    """Return the payees as they are asked for: one alone in the short form sometimes, which gets all."""
    if len(payees) > 1 or chance.is_once_in(2):
        return {"destinations": payees}
    (payee,) = payees
    wallet = payee.get("wallet_id")
    short: dict[str, Any] = {"external": {}} if wallet is None else {"destination_wallet_id": wallet}
    payees[0] = {**{name: payee[name] for name in payee if name in {"wallet_id", "external"}}, "rest": True}
    return short


def void(chance: Chance, world: World) -> Step | None:
    """Return the end of a hold."""
    found = chance.hold(world)
    if found is None:
        return None
    hold_id, _ = found
    return on(("hold", hold_id), "void", "void_hold", {"reason": "r"}, lambda of: holding.void(of, hold_id))


WEIGHTS: Final[Weights] = {place: 14, increase: 5, capture: 14, void: 3}
