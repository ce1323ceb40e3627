"""What must go back of a transaction: by refunds, reversals and chargebacks, from the list of its entries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.mix.amounts import Refused, money
from tests.mix.model import World
from tests.mix.things import Done, Entry, Posted

REFUNDABLE: Final = frozenset({"deposit", "withdrawal", "transfer", "payment", "capture", "conversion"})
TAKEN: Final = {"refund": REFUNDABLE, "reversal": REFUNDABLE | {"chargeback"}, "chargeback": frozenset({"deposit"})}
"""What transactions each way of taking back is for."""
TAKEN_MAX: Final = 100


@dataclass(frozen=True, kw_only=True)
class Taking:
    """How a transaction is taken back: by a `refund`, a `reversal` or a `chargeback`.

    *amount*: so much; *parts*: so much of each wallet; neither: all that is left.
    """

    how: str
    amount: int | None = None
    parts: Mapping[str, int] | None = None
    with_fees: bool = False
    force: bool = False


def take_back(of: World, transaction_id: str, taking: Taking) -> Done:
    """Take a transaction back."""
    posted = of.transactions[transaction_id]
    if posted.kind not in TAKEN[taking.how]:
        raise Refused("transaction_not_refundable")
    if posted.is_reversed:
        raise Refused("transaction_reversed")
    if len(posted.taken) >= TAKEN_MAX:
        raise Refused("refund_limit_reached")
    given = _given(posted, taking)
    back = _back(posted, given, with_fees=taking.with_fees or taking.how == "reversal")
    if not back[0]:
        raise Refused("share_too_small", 422)
    _must_take_back(of, posted, back, is_forced=taking.force or taking.how == "chargeback")
    posted.back = [before + part for before, part in zip(posted.back, back, strict=True)]
    posted.is_reversed = taking.how == "reversal"
    done = Done(list(_answered(posted, back)), listed=posted.taken, told={"related_transaction_id": transaction_id})
    return of.posted(taking.how, done)


def _given(posted: Posted, taking: Taking) -> dict[int, int]:
    """Return how much each payee's entry gives."""
    rests = {place: posted.rest(place) for place in posted.payees}
    if taking.parts is not None:
        places = {posted.entries[place][0]: place for place in rests if posted.entries[place][0] in posted.currencies}
        for wallet, part in taking.parts.items():
            left = rests[places[wallet]] if wallet in places else 0
            if part > left:
                raise Refused("refund_exceeds_transaction", refundable=money(left, posted.currency), wallet_id=wallet)
        return {places[wallet]: part for wallet, part in taking.parts.items()}
    amount = posted.left if taking.amount is None else taking.amount
    if amount > posted.left or not posted.left:
        raise Refused("refund_exceeds_transaction", refundable=money(posted.left, posted.currency))
    given = {place: rest * amount // posted.left for place, rest in rests.items()}
    over = amount - sum(given.values())
    for place, rest in rests.items():
        if over and given[place] < rest:
            given[place], over = given[place] + 1, over - 1
    return given


def _back(posted: Posted, given: Mapping[int, int], *, with_fees: bool) -> list[int]:
    """Return what is posted of each entry when payees give so much."""
    amount, left = sum(given.values()), posted.left
    back = [0] * len(posted.entries)
    for place, (account, _) in enumerate(posted.entries):
        rest = posted.rest(place)
        if place in posted.payees:
            back[place] = -given.get(place, 0)
        elif place in posted.fees and account.startswith("fees:"):
            back[place] = -back[place - 1]
        elif not account.startswith("rounding:") and (with_fees or place not in posted.fees):
            back[place] = -(rest * amount // left) if rest > 0 else -rest * amount // left
    for place, (account, _) in enumerate(posted.entries):
        if account.startswith("rounding:"):
            currency = posted.currency_at(place)
            back[place] = -sum(part for at, part in enumerate(back) if posted.currency_at(at) == currency)
    return back


def _must_take_back(of: World, posted: Posted, back: list[int], *, is_forced: bool) -> None:
    net: dict[str, int] = {}
    for (account, _), part in zip(posted.entries, back, strict=True):
        if account in of.wallets and part:
            net[account] = net.get(account, 0) + part
    for wallet, moved in sorted(net.items(), key=lambda each: each[1] >= 0):
        if is_forced:
            of.must_be_open(wallet)
        elif moved < 0:
            of.must_pay(wallet, -moved, 0)
        else:
            of.must_take(wallet, moved, of.wallets[wallet].currency, 0, "none")


def _answered(posted: Posted, back: list[int]) -> Iterator[Entry]:
    """Yield the entries as they are told: fees of wallets, other wallets, system accounts."""

    def order(place: int) -> int:
        if posted.entries[place][0] not in posted.currencies:
            return 2
        return 0 if place in posted.fees else 1

    for place in sorted(range(len(back)), key=order):
        if back[place]:
            yield posted.entries[place][0], back[place]
