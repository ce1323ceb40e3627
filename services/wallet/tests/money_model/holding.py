"""Holds: placed, increased, captured, voided, and over by themselves."""

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.asking import Asking
from services.wallet.tests.money_model.figures import PPM, fee_of
from services.wallet.tests.money_model.things import OFTEN, Entry, Fee, Hold, Refusal, Sum


class Holding(Asking):
    """Money set aside."""

    def place(self, name: str, command: asked.Place) -> None:
        """Hold money of a wallet."""
        wallet, amount = command.wallet, command.amount
        ends_at = self.now + timedelta(days=self.policy.days) if command.ends_at is None else command.ends_at
        if not self.now < ends_at <= self.now + timedelta(days=self.policy.days_max):
            raise self._out_of_range(wallet)
        fee = self.payers_fee("capture", wallet, amount)
        self.ask_payer(wallet, amount, command.currency, fee, "payment")
        self.count_debit(wallet, "payment", amount, name)
        reserved, rule = (0, None) if fee is None else (fee.amount, fee.rule)
        version = None if fee is None else fee.version
        self.holds[name] = Hold(wallet, ((self.now, amount),), ends_at, reserved, rule, version)

    def increase(self, _name: str, command: asked.Increase) -> None:
        """Hold more of it, or for longer."""
        hold = self._open(command.hold)
        if self.now >= hold.ends_at:
            raise Refusal("hold_expired", command.hold)
        ends_at = hold.ends_at if command.ends_at is None else command.ends_at
        if not hold.ends_at <= ends_at <= self._latest(hold, command):
            raise self._out_of_range(command.hold)
        if command.amount:
            if len(hold.placed) > OFTEN:
                raise Refusal("increase_limit_reached", command.hold)
            assert command.currency is not None
            fee = self._more_fee(hold, command.amount)
            self.ask_payer(hold.wallet, command.amount, command.currency, fee, "payment")
            self._hold_more(command.hold, command.amount, fee)
        self._change_hold(command.hold, ends_at=ends_at)

    def capture(self, name: str, command: asked.Capture) -> None:
        """Pay out of it: the hold's own refusals, the parts, the payer, each payee."""
        hold, amount = self._captured(command)
        over = amount - hold.remaining
        parts = self.parts(amount, command.to, command.hold)
        if self.wallets[hold.wallet].is_closed:
            raise Refusal("wallet_closed", hold.wallet)
        fee = None
        if over > 0 and not command.is_forced:
            fee = self._more_fee(hold, over)
            self.ask_payer(hold.wallet, over, self.wallets[hold.wallet].currency, fee, "payment")
        paid = self.pay("capture", hold.wallet, command.to, parts)
        if over > 0 and not command.is_forced:
            self._hold_more(command.hold, over, fee)
        self._carry_out(name, command, amount, paid)

    def void(self, _name: str, command: asked.Void) -> None:
        """Release it."""
        self._open(command.hold)
        self._release(command.hold, "voided")

    def expire(self, _name: str, command: asked.Expire) -> None:
        """Release what nobody captured in time."""
        hold = self._open(command.hold)
        if hold.ends_at != command.due_at:
            raise Refusal("hold_not_due", command.hold)
        if self.now < hold.ends_at:
            raise Refusal("hold_not_due_yet", command.hold)
        self._release(command.hold, "expired")

    def _captured(self, command: asked.Capture) -> tuple[Hold, int]:
        """Return the hold, and how much is captured of it, or refuse what it does not hold."""
        is_late = command.is_forced and command.amount is not None
        hold = self.holds[command.hold] if is_late else self._open(command.hold)
        if self.now >= hold.ends_at and not command.is_forced:
            raise Refusal("hold_expired", command.hold)
        currency = self.wallets[hold.wallet].currency
        if command.currency not in {None, currency}:
            raise Refusal("currency_mismatch", command.hold, currency=currency)
        amount = hold.remaining if command.amount is None else command.amount
        most = hold.remaining + floor(hold.amount * Fraction(self.policy.overcapture_ppm, PPM))
        if amount > most and not command.is_forced:
            raise Refusal("capture_exceeds_hold", command.hold, remaining=Sum(hold.remaining, currency))
        if len(hold.captured) >= OFTEN:
            raise Refusal("capture_limit_reached", command.hold)
        return hold, amount

    def _carry_out(self, name: str, command: asked.Capture, amount: int, paid: list[Entry]) -> None:
        hold = self.holds[command.hold]
        wallet, currency = hold.wallet, self.wallets[hold.wallet].currency
        is_all = amount >= hold.remaining
        fee = hold.reserved if is_all else floor(Fraction(hold.reserved * amount, hold.remaining))
        taken = min(amount, hold.remaining)
        if command.is_final and not is_all:
            self.give_back(command.hold, hold.remaining - amount)
        self._change_hold(command.hold, captured=(*hold.captured, taken), reserved=hold.reserved - fee)
        if hold.status == "open" and (is_all or command.is_final):
            left = self.holds[command.hold].remaining
            self._change_hold(command.hold, released=left, reserved=0, status="captured")
        sent = Entry(wallet, None, currency, -amount, forced=amount > taken)
        charged = None if not fee else Fee(hold.rule or "", hold.version or 0, fee)
        fees = [each._replace(forced=False) for each in self.charged(wallet, charged)]
        self.post(name, "capture", [sent, *paid, *fees])
        self.settle_floor(wallet)

    def _release(self, name: str, status: str) -> None:
        hold = self.holds[name]
        self.give_back(name, hold.remaining)
        self._change_hold(name, released=hold.released + hold.remaining, reserved=0, status=status)
        self.settle_floor(hold.wallet)

    def _hold_more(self, name: str, amount: int, fee: Fee | None) -> None:
        hold = self.holds[name]
        self.count_debit(hold.wallet, "payment", amount, name)
        reserved = hold.reserved + (0 if fee is None else fee.amount)
        self._change_hold(name, placed=(*hold.placed, (self.now, amount)), reserved=reserved)

    def _more_fee(self, hold: Hold, amount: int) -> Fee | None:
        """Return what more is reserved by the hold's rule, as it is now."""
        for rule in self.policy.fees:
            if rule.id == hold.rule:
                more = fee_of(rule, hold.amount + amount) - fee_of(rule, hold.amount)
                return Fee(rule.id, hold.version or 0, more) if more > 0 else None
        return None

    def _open(self, name: str) -> Hold:
        if self.holds[name].status != "open":
            raise Refusal("hold_settled", name)
        return self.holds[name]

    def _latest(self, hold: Hold, command: asked.Increase) -> datetime:
        longest = hold.placed[0][0] + timedelta(days=self.policy.days_max)
        return hold.ends_at if command.ends_at is None else longest

    def _out_of_range(self, whom: str) -> Refusal:
        return Refusal("hold_expiry_out_of_range", whom, max_days=self.policy.days_max)

    def _change_hold(self, name: str, **changes: Any) -> None:
        self.holds[name] = replace(self.holds[name], **changes)
