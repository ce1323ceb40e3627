"""Holds: money set aside, captured, released."""

from typing import Any

from demo.books import Books, Draft, amount
from demo.money import to_minor
from demo.operations import Capture, Hold
from demo.paying import pay_out, payees_of
from demo.pricing import PPM, fee_of
from demo.sharing import parts_of
from demo.states import ChargedFee, HoldState, Refused

SETTLED = "hold_settled"


def place(books: Books, command: Hold) -> HoldState:
    """Hold money and the fee of capturing all of it."""
    payer, minor = books.wallet(command.wallet), to_minor(command.amount, command.currency)
    fee = books.fee("capture", "payer", payer, minor, payer)
    books.must_pay(payer, minor, command.currency, fee, "payment")
    books.count(payer, minor, "payment")
    reserved = fee.minor if fee else 0
    payer.held_minor += minor + reserved
    payer.version += 1
    return HoldState(payer.name, payer.currency, [(books.turn, minor)], fee.rule if fee else None, reserved)


def increase(books: Books, hold: HoldState, minor: int) -> None:
    """Hold more."""
    _must_be_open(hold)
    more = _may_increase(books, hold, minor)
    _increase(books, hold, minor, more)


def capture(books: Books, hold: HoldState, command: Capture, draft: Draft) -> None:
    """Pay what is held; a little more is an increase."""
    _must_be_open(hold)
    payer, remaining = books.wallets[hold.wallet], hold.remaining_minor
    minor = remaining if command.amount is None else to_minor(command.amount, hold.currency)
    if minor > remaining + hold.placed_minor * books.overcapture_ppm // PPM:
        raise Refused("capture_exceeds_hold", remaining=amount(remaining, hold.currency))
    over = minor - remaining
    more = _may_increase(books, hold, over) if over > 0 else 0
    parts = parts_of(minor, command.payees, hold.currency)
    paid = payees_of(draft, "capture", payer, command.payees, parts)
    if over > 0:
        _increase(books, hold, over, more)
    is_all = minor == hold.remaining_minor
    fee_minor = hold.fee_minor if is_all else hold.fee_minor * minor // hold.remaining_minor
    draft.move(payer, -minor, held_minor=-minor)
    pay_out(paid, payer.currency, draft)
    if fee_minor:
        assert hold.rule is not None
        draft.charge(ChargedFee(payer.name, hold.rule, fee_minor), held_minor=fee_minor)
    hold.captured_minor += minor
    hold.fee_minor -= fee_minor
    if is_all:
        hold.status = "captured"
    elif command.is_final:
        _release(books, hold, "captured")


def void(books: Books, hold: HoldState) -> None:
    """Release what is held, because somebody asked."""
    _must_be_open(hold)
    _release(books, hold, "voided")


def lapse(books: Books, hold: HoldState) -> None:
    """Release what is held, because its time has come."""
    _release(books, hold, "expired")


def shown(hold: HoldState) -> dict[str, Any]:
    """Return what must be told of it."""
    figures = {
        "amount": hold.placed_minor,
        "fee_reserved": hold.fee_minor,
        "captured": hold.captured_minor,
        "released": hold.released_minor,
        "remaining": hold.remaining_minor,
    }
    told: dict[str, Any] = {name: amount(minor, hold.currency) for name, minor in figures.items()}
    return {"status": hold.status, **told}


def _must_be_open(hold: HoldState) -> None:
    if hold.status != "open":
        raise Refused(SETTLED)


def _may_increase(books: Books, hold: HoldState, minor: int) -> int:
    """Return what more is reserved of the fee; refuse what the wallet may not spend."""
    rule = next((rule for rule in books.fees if rule["id"] == hold.rule), None)
    before = hold.placed_minor
    more = 0 if rule is None else max(0, fee_of(rule, before + minor) - fee_of(rule, before))
    fee = ChargedFee(hold.wallet, hold.rule or "", more)
    books.must_pay(books.wallets[hold.wallet], minor, hold.currency, fee, "payment")
    return more


def _increase(books: Books, hold: HoldState, minor: int, more: int) -> None:
    payer = books.wallets[hold.wallet]
    books.count(payer, minor, "payment")
    payer.held_minor += minor + more
    payer.version += 1
    hold.placings.append((books.turn, minor))
    hold.fee_minor += more


def _release(books: Books, hold: HoldState, status: str) -> None:
    wallet, minor = books.wallets[hold.wallet], hold.remaining_minor
    books.bounds.give_back(wallet, hold, minor)
    wallet.held_minor -= minor + hold.fee_minor
    wallet.version += 1
    hold.released_minor += minor
    hold.fee_minor, hold.status = 0, status
