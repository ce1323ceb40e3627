"""Refunds, reversals and chargebacks: each of them is kept, and what is left is added up anew."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.asking import Asking
from services.wallet.tests.money_model.figures import shares_of, towards_nothing
from services.wallet.tests.money_model.things import BALANCE_MAX, OFTEN, Entry, Made, Refusal, Sum

ORDINARY: Final = {"deposit", "withdrawal", "transfer", "payment", "capture", "conversion"}
KINDS: Final = {"refund": ORDINARY, "reversal": ORDINARY | {"chargeback"}, "chargeback": {"deposit"}}
"""Which transactions are taken back how."""
WAIVED: Final = {"insufficient_funds", "wallet_frozen"}
"""What force goes through."""


class Returning(Asking):
    """What was posted goes back."""

    def take_back(self, name: str, command: asked.TakeBack) -> None:
        """Take back what is left, or a part of it."""
        original, made = command.transaction, self.made[command.transaction]
        if made.kind not in KINDS[command.how]:
            raise Refusal("transaction_not_refundable", original)
        if made.is_reversed:
            raise Refusal("transaction_reversed", original)
        if len(made.returned) >= OFTEN:
            raise Refusal("refund_limit_reached", original)
        given = _given(command, made)
        back = _back(made, given, with_fees=command.returns_fees or command.how == "reversal")
        home = made.entries[0].wallet
        if not any(
            back[place] and entry.is_wallets for place, entry in enumerate(made.entries) if entry.wallet == home
        ):
            raise Refusal("share_too_small", original)
        is_forced = command.is_forced or command.how == "chargeback"
        through = self._ask(made, back, is_forced=is_forced)
        always = command.how == "chargeback"
        entries = [
            entry._replace(amount=minor, forced=entry.account is None and (always or entry.wallet in through))
            for minor, entry in zip(back, made.entries, strict=True)
            if minor
        ]
        rests = [rest + minor for rest, minor in zip(made.rests, back, strict=True)]
        is_over = command.how == "reversal" and not any(rests[place] for place in made.payees)
        self.made[original] = replace(made, returned=(*made.returned, tuple(back)), is_reversed=is_over)
        self.post(name, command.how, sorted(entries, key=_order))

    def _ask(self, made: Made, back: list[int], *, is_forced: bool) -> set[str]:
        """Ask those who give before those who get; return the wallets for which force is needed."""
        net: dict[str, int] = {}
        for minor, entry in zip(back, made.entries, strict=True):
            if minor and entry.account is None:
                net[entry.wallet] = net.get(entry.wallet, 0) + minor
        currencies = {entry.wallet: entry.currency for entry in made.entries if entry.account is None}
        through = set()
        for wallet in (*(each for each in net if net[each] < 0), *(each for each in net if net[each] >= 0)):
            try:
                if net[wallet] < 0:
                    self.ask_payer(wallet, -net[wallet], currencies[wallet])
                else:
                    self.ask_payee(wallet, net[wallet], currencies[wallet])
            except Refusal as refusal:
                if not is_forced or refusal.code not in WAIVED:
                    raise
                if abs(self.wallets[wallet].posted + net[wallet]) > BALANCE_MAX:
                    raise Refusal("balance_overflow", wallet) from None
                through.add(wallet)
        return through


def _given(command: asked.TakeBack, made: Made) -> dict[int, int]:
    """Return how much is taken of each payee's entry."""
    rests = {place: made.rests[place] for place in made.payees}
    if command.parts:
        return dict(_parts(command, made, rests))
    if command.currency not in {None, made.currency}:
        raise Refusal("currency_mismatch", command.transaction, currency=made.currency)
    left = sum(rests.values())
    amount = left if command.amount is None else command.amount
    if not 0 < amount <= left:
        raise Refusal("refund_exceeds_transaction", command.transaction, refundable=Sum(left, made.currency))
    return shares_of(amount, rests)


def _parts(command: asked.TakeBack, made: Made, rests: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    if command.currency != made.currency:
        raise Refusal("currency_mismatch", command.transaction, currency=made.currency)
    places = {made.entries[place].wallet: place for place in rests if made.entries[place].account is None}
    for wallet, amount in command.parts:
        left = rests[places[wallet]] if wallet in places else 0
        if amount > left:
            raise Refusal("refund_exceeds_transaction", command.transaction, refundable=Sum(left, made.currency))
        yield places[wallet], amount


def _back(made: Made, given: Mapping[int, int], *, with_fees: bool) -> list[int]:
    """Return what is posted of each entry; fees stand in pairs: a wallet's entry, and the account's beside it."""
    rests = made.rests
    part = Fraction(sum(given.values()), sum(rests[place] for place in made.payees))
    back = [0] * len(rests)
    for place, entry in enumerate(made.entries):
        if entry.is_payees:
            back[place] = -given.get(place, 0)
        elif (with_fees and entry.account is None) if entry.is_fee else entry.account != f"rounding:{entry.currency}":
            back[place] = towards_nothing(rests[place], part)
    for place, entry in enumerate(made.entries):
        if entry.is_fee and entry.account is not None:
            back[place] = -back[place - 1]
    for place, entry in enumerate(made.entries):
        if entry.account == f"rounding:{entry.currency}":
            back[place] = -sum(
                minor for minor, other in zip(back, made.entries, strict=True) if other.currency == entry.currency
            )
    return back


def _order(entry: Entry) -> int:
    """Return that fees which wallets get back come first, then what else wallets give and get."""
    if entry.account is not None:
        return 2
    return 0 if entry.is_fee else 1
