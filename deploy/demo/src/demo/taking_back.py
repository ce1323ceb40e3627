"""Refunds, reversals, chargebacks: how much of each entry goes back, and whether the wallets may give and get it."""

from collections.abc import Collection

from demo.books import Books, Draft, amount
from demo.money import to_minor
from demo.operations import ChargeBack, Refund, Reverse, TakeBack
from demo.sharing import by_weight
from demo.states import PostedState, Refused

_TAKES_BACK = {Refund: "refund", Reverse: "reversal", ChargeBack: "chargeback"}
_REFUNDED = ("deposit", "withdrawal", "transfer", "payment", "capture", "convert")


def take_back(books: Books, posted: PostedState, command: TakeBack, draft: Draft) -> int:
    """Post what goes back; return how much of what the payees got."""
    _must_be_of_its_kind(posted, command)
    if posted.status == "reversed":
        raise Refused("transaction_reversed")
    left = posted.paid_minor - posted.refunded_minor
    said = None if isinstance(command, Reverse) or command.amount is None else command.amount
    minor = left if said is None else to_minor(said, posted.currency)
    if minor > left or left == 0:
        raise Refused("refund_exceeds_transaction", refundable=amount(left, posted.currency))
    with_fees = isinstance(command, Reverse) or (isinstance(command, Refund) and command.with_fees)
    back = parts_back(posted, minor, with_fees=with_fees)
    home = posted.entries[0].account
    gives = (
        part for part, entry in zip(back, posted.entries, strict=True) if entry.account == home and not entry.is_fee
    )
    if not any(gives):
        raise Refused("share_too_small", 422)
    _must_go(books, posted, back, is_forced=isinstance(command, ChargeBack))
    _post(books, posted, back, draft)
    posted.returned = [before + part for before, part in zip(posted.returned, back, strict=True)]
    posted.refunds += 1
    done = "reversed" if isinstance(command, Reverse) else "refunded"
    posted.status = done if minor == left else "partially_refunded"
    return minor


def kind_of(command: TakeBack) -> str:
    """Return the kind of transaction that it is itself."""
    return _TAKES_BACK[type(command)]


def parts_back(posted: PostedState, minor: int, *, with_fees: bool) -> list[int]:
    """Return what is posted of each entry, the other way round, when the payees give *minor* back.

    Payees by their rests; all others in proportion, towards nothing; a rounding account closes its currency.
    """
    back = [0] * len(posted.entries)
    rests = [posted.rest(place) for place in posted.places]
    for place, part in zip(posted.places, by_weight(minor, rests), strict=True):
        back[place] = -part
    for place, entry in enumerate(posted.entries):
        if place in posted.places or entry.system == "rounding":
            continue
        if entry.is_fee:
            if with_fees and entry.is_wallets:
                back[place] = -posted.rest(place) * minor // sum(rests)
                back[place + 1] = -back[place]
            continue
        part = abs(posted.rest(place)) * minor // sum(rests)
        back[place] = part if entry.delta_minor < 0 else -part
    for place, entry in enumerate(posted.entries):
        if entry.system == "rounding":
            others = (part for part, each in zip(back, posted.entries, strict=True) if each.currency == entry.currency)
            back[place] = -sum(others)
    return back


def _must_be_of_its_kind(posted: PostedState, command: TakeBack) -> None:
    allowed: Collection[str] = _REFUNDED
    if isinstance(command, ChargeBack):
        allowed = ("deposit",)
    elif isinstance(command, Reverse):
        allowed = (*_REFUNDED, "chargeback")
    if posted.kind not in allowed:
        raise Refused("transaction_not_refundable")


def _must_go(books: Books, posted: PostedState, back: list[int], *, is_forced: bool) -> None:
    """Refuse what a wallet may not give, then what one may not get; what is forced is stopped by closed ones alone."""
    net: dict[str, int] = {}
    for part, entry in zip(back, posted.entries, strict=True):
        if part and entry.is_wallets:
            net[entry.account] = net.get(entry.account, 0) + part
    for name, minor in sorted(net.items(), key=lambda each: each[1] >= 0):
        wallet = books.wallets[name]
        if is_forced and not wallet.is_closed:
            continue
        if minor < 0:
            books.must_pay(wallet, -minor, wallet.currency)
        else:
            books.must_take(wallet, minor, wallet.currency)


def _post(books: Books, posted: PostedState, back: list[int], draft: Draft) -> None:
    """Post fees of wallets first, then what else is theirs, then the system's accounts."""
    moved = [(part, entry) for part, entry in zip(back, posted.entries, strict=True) if part]
    for is_fee in (True, False):
        for part, entry in moved:
            if entry.is_wallets and entry.is_fee == is_fee:
                draft.move(books.wallets[entry.account], part, is_fee=is_fee)
    for part, entry in moved:
        if not entry.is_wallets:
            draft.account(entry.system, entry.currency, part, is_fee=entry.is_fee)
