"""How transactions are asked back: refunds, reversals, chargebacks, and chargebacks that were won."""

from collections.abc import Collection
from typing import Final

from tests.mix import returning
from tests.mix.amounts import money
from tests.mix.model import World
from tests.mix.returning import REFUNDABLE, Taking
from tests.mix.steps import Chance, Step, Weights, on
from tests.mix.things import Json, Posted

_PATHS: Final = {"refund": "refunds", "reversal": "reversal", "chargeback": "chargebacks"}


def refund(chance: Chance, world: World) -> Step | None:
    """Return a refund: of a part or of all, of each payee's or of what is said of each, with fees or without."""
    found = _transaction(chance, world, REFUNDABLE)
    if found is None:
        return None
    transaction_id, posted = found
    with_fees, force, amount, parts = chance.is_once_in(3), chance.is_once_in(6), None, None
    payees = [each for each in posted.payees if posted.entries[each][0] in posted.currencies]
    if payees and chance.is_once_in(4):
        chosen = chance.random.sample(payees, chance.random.randint(1, len(payees)))
        parts = {posted.entries[each][0]: _part(chance, posted.rest(each)) for each in chosen}
    elif not chance.is_once_in(5):
        amount = _part(chance, posted.left)
    taking = Taking(how="refund", amount=amount, parts=parts, with_fees=with_fees, force=force)
    return _taking_back(transaction_id, posted, taking)


def charge_back(chance: Chance, world: World) -> Step | None:
    """Return a chargeback, mostly of a deposit."""
    found = _transaction(chance, world, {"deposit"})
    if found is None:
        return None
    transaction_id, posted = found
    amount = None if chance.is_once_in(5) else _part(chance, posted.left)
    return _taking_back(transaction_id, posted, Taking(how="chargeback", amount=amount))


def reverse(chance: Chance, world: World) -> Step | None:
    """Return a reversal."""
    found = _transaction(chance, world, REFUNDABLE)
    return None if found is None else _taking_back(*found, Taking(how="reversal", force=chance.is_once_in(6)))


def win_back(chance: Chance, world: World) -> Step | None:
    """Return the reversal of a chargeback."""
    found = _transaction(chance, world, {"chargeback"})
    return None if found is None else _taking_back(*found, Taking(how="reversal"))


def _transaction(chance: Chance, world: World, kinds: Collection[str]) -> tuple[str, Posted] | None:
    """Return a transaction, mostly of one of *kinds*."""
    every = list(world.transactions.items())[-40:]
    fitting = [each for each in every if each[1].kind in kinds]
    chosen = fitting if not chance.is_once_in(20) else every
    return chance.random.choice(chosen) if chosen else None


def _part(chance: Chance, left: int) -> int:
    """Return a part of what is left, which is sometimes more."""
    return chance.random.randint(1, left * 11 // 10 + 1)


def _taking_back(transaction_id: str, posted: Posted, taking: Taking) -> Step:
    body: Json = {"reason": "asked for"}
    if taking.amount is not None:
        body["amount"] = money(taking.amount, posted.currency)
    if taking.parts is not None:
        body["parts"] = [
            {"wallet_id": wallet, "amount": money(part, posted.currency)} for wallet, part in taking.parts.items()
        ]
    body |= {"refund_fees": True} if taking.with_fees else {}
    body |= {"force": True} if taking.force else {}
    thing = "transaction", transaction_id
    return on(thing, _PATHS[taking.how], taking.how, body, lambda of: returning.take_back(of, transaction_id, taking))


WEIGHTS: Final[Weights] = {refund: 8, charge_back: 2, reverse: 2, win_back: 1}
