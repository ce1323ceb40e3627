"""What must become of holds: placed, increased, captured, voided, and ended by themselves."""

from datetime import datetime, timedelta

from tests.mix.amounts import Refused, fee_of, money, shared
from tests.mix.model import World
from tests.mix.moving import Payees, pay_out
from tests.mix.things import Done, Hold


def place(of: World, wallet: str, amount: int, expires_at: datetime | None) -> Done:
    """Hold money."""
    until = of.at + timedelta(days=of.hold_terms["days"]) if expires_at is None else expires_at
    if until > of.at + timedelta(days=of.hold_terms["days_max"]):
        raise Refused("hold_expiry_out_of_range", max_days=of.hold_terms["days_max"])
    rule, fee = of.fee("capture", "payer", of.wallets[wallet].currency, amount, wallet)
    of.must_pay(wallet, amount, fee, "payment")
    of.count(wallet, "payment", amount)
    hold = Hold(wallet, [(of.at, amount)], rule if fee else None, fee, until, expires_at is not None)
    return Done(hold=hold, made=hold)


def increase(of: World, hold_id: str, amount: int, expires_at: datetime | None) -> Done:
    """Hold more, or for longer."""
    hold = _open(of, hold_id)
    if expires_at is not None:
        placed_at, _ = hold.placings[0]
        days = of.hold_terms["days_max"]
        if not hold.expires_at <= expires_at <= placed_at + timedelta(days=days):
            raise Refused("hold_expiry_out_of_range", max_days=days)
    if amount:
        more = _more(of, hold, amount)
        of.must_pay(hold.wallet, amount, more, "payment")
        _raise(of, hold, amount, more)
    if expires_at is not None:
        hold.expires_at, hold.is_end_known = expires_at, True
    return Done(hold=hold)


def capture(of: World, hold_id: str, amount: int | None, payees: Payees, *, final: bool, force: bool) -> Done:
    """Pay what is held."""
    hold = of.holds[hold_id] if force and amount is not None else _open(of, hold_id)
    amount = hold.remaining if amount is None else amount
    currency = of.wallets[hold.wallet].currency
    over = amount - hold.remaining
    if not force and over > hold.placed * of.hold_terms["overcapture_ppm"] // 1_000_000:
        raise Refused("capture_exceeds_hold", remaining=money(hold.remaining, currency))
    parts = shared(amount, payees)
    of.must_be_open(hold.wallet)
    is_more = over > 0 and not force
    more = _more(of, hold, over) if is_more else 0
    if is_more:
        of.must_pay(hold.wallet, over, more, "payment")
    done = Done([(hold.wallet, -amount)], hold=hold, listed=hold.captures)
    pay_out(of, "capture", hold.wallet, payees, parts, done=done)
    if is_more:
        _raise(of, hold, over, more)
    rule, fee = hold.fee_rule, hold.fee_left
    if amount < hold.remaining:
        fee = fee * amount // hold.remaining
    hold.captured, hold.fee_left = hold.captured + min(amount, hold.remaining), hold.fee_left - fee
    if hold.status == "open" and (final or not hold.remaining):
        _release(of, hold, "captured")
    return of.posted("capture", done.charge(hold.wallet, currency, (rule, fee)))


def void(of: World, hold_id: str) -> Done:
    """Release what is held."""
    hold = _open(of, hold_id)
    _release(of, hold, "voided")
    return Done(hold=hold)


def expire(of: World, hold_id: str) -> None:
    """Release what is held: its time has come."""
    _release(of, of.holds[hold_id], "expired")


def _open(of: World, hold_id: str) -> Hold:
    hold = of.holds[hold_id]
    if hold.status != "open":
        raise Refused("hold_settled")
    return hold


def _more(of: World, hold: Hold, amount: int) -> int:
    """Return what more of a fee is reserved, by the hold's rule as it is now."""
    rule_id = None if hold.fee_rule is None else hold.fee_rule["id"]
    rule = next((rule for rule in of.fees if rule["id"] == rule_id), None)
    return 0 if rule is None else max(0, fee_of(rule, hold.placed + amount) - fee_of(rule, hold.placed))


def _raise(of: World, hold: Hold, amount: int, fee: int) -> None:
    of.count(hold.wallet, "payment", amount)
    hold.placings.append((of.at, amount))
    hold.fee_left += fee


def _release(of: World, hold: Hold, status: str) -> None:
    of.limits.give_back(hold, of.wallets[hold.wallet], hold.remaining)
    hold.released, hold.fee_left, hold.status = hold.released + hold.remaining, 0, status
