"""What the ledger of one tenant must be, told without any of the product's code: plain integers of minor units.

Each command checks everything before it changes anything, and raises Refused where the ledger must refuse it.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.mix import exchange
from tests.mix.amounts import Refused, fee_of, shared, units
from tests.mix.exchange import Quote
from tests.mix.returning import Posted
from tests.mix.things import Done, Entry, Hold, Wallet

KEPT_MAX: Final = 60
"""Of settled holds, transactions and quotes: commands are about the newest."""


@dataclass
class World:
    """The ledger of one tenant."""

    wallets: dict[str, Wallet] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    policy_version: int = 0
    fees: Sequence[Mapping[str, Any]] = ()
    quotes: dict[str, Quote] = field(default_factory=dict)
    transactions: dict[str, Posted] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    fx: Mapping[str, Any] = field(default_factory=lambda: {"pairs": [], "spread_ppm": 0})
    limits: Sequence[Mapping[str, Any]] = ()
    hold_terms: Mapping[str, int] = field(default_factory=lambda: {"days": 7, "days_max": 31, "overcapture_ppm": 0})

    def forget(self) -> None:
        """Forget the oldest of what no command will be about any more."""
        settled = [hold_id for hold_id, hold in self.holds.items() if hold.status != "open"]
        for kept, gone in (
            (self.holds, settled[:-KEPT_MAX]),
            (self.transactions, list(self.transactions)[:-KEPT_MAX]),
            (self.quotes, list(self.quotes)[:-KEPT_MAX]),
        ):
            for each in gone:
                kept.pop(each)

    def copy(self) -> "World":
        """Return a world of its own that is the same."""
        return copy.deepcopy(self)

    def held(self, wallet_id: str) -> int:
        """Return what is held of a wallet."""
        return sum(hold.held for hold in self.holds.values() if hold.wallet == wallet_id)

    def available(self, wallet_id: str) -> int:
        """Return what can be spent of a wallet."""
        return self.wallets[wallet_id].posted - self.held(wallet_id)

    # -- rules

    def must_pay(
        self, wallet_id: str, amount: int, fee: int, operation: str | None = None, currency: str | None = None
    ) -> None:
        """Refuse what the payer may not spend, or not at once in an *operation* that is bounded.

        *currency* is the amount's where it may be another than the wallet's.
        """
        payer = self.wallets[wallet_id]
        if payer.is_closed:
            raise Refused("wallet_closed")
        if payer.scope is not None:
            raise Refused("wallet_frozen")
        if currency not in {None, payer.currency}:
            raise Refused("currency_mismatch")
        if operation is not None:
            self.must_be_within(operation, payer.currency, amount)
            self.must_be_within("debit", payer.currency, amount)
        if amount + fee > self.available(wallet_id) + payer.overdraft:
            raise Refused("insufficient_funds")

    def must_take(self, wallet_id: str, amount: int, currency: str, fee: int, operation: str | None = None) -> None:
        """Refuse what the payee may not receive."""
        payee = self.wallets[wallet_id]
        if payee.is_closed:
            raise Refused("wallet_closed")
        if payee.scope == "all":
            raise Refused("wallet_frozen")
        if payee.currency != currency:
            raise Refused("currency_mismatch")
        if operation is not None:
            self.must_be_within(operation, currency, amount)
        if fee > amount:
            raise Refused("fee_exceeds_amount")

    def must_be_within(self, operation: str, currency: str, amount: int) -> None:
        """Refuse more than one command of an operation may move."""
        for limit in self.limits:
            is_its = (limit["operation"], limit["currency"]) == (operation, currency)
            if is_its and amount > units(limit["per_transaction"], currency):
                raise Refused("limit_exceeded")

    def fee(self, operation: str, bearer: str, currency: str, amount: int) -> tuple[Mapping[str, Any] | None, int]:
        """Return the rule that applies and what it comes to."""
        for rule in self.fees:
            if (rule["operation"], rule["bearer"], rule["currency"]) == (operation, bearer, currency):
                return rule, fee_of(rule, amount)
        return None, 0

    def post(self, entries: Iterable[Entry]) -> None:
        """Carry out entries."""
        for account, amount in entries:
            if account in self.wallets:
                self.wallets[account].posted += amount

    # -- commands

    def deposit(self, wallet: str, amount: int) -> Done:
        """Take money in."""
        currency = self.wallets[wallet].currency
        rule, fee = self.fee("deposit", "payee", currency, amount)
        self.must_take(wallet, amount, currency, fee, "deposit")
        done = Done([(wallet, amount), (f"external:{currency}", -amount)])
        return self._posted(_charge(done, wallet, currency, rule, fee))

    def withdrawal(self, wallet: str, amount: int) -> Done:
        """Pay money out."""
        currency = self.wallets[wallet].currency
        rule, fee = self.fee("withdrawal", "payer", currency, amount)
        self.must_pay(wallet, amount, fee, "withdrawal")
        done = Done([(wallet, -amount), (f"external:{currency}", amount)])
        return self._posted(_charge(done, wallet, currency, rule, fee))

    def transfer(self, source: str, destination: str, amount: int) -> Done:
        """Move money between two wallets."""
        currency = self.wallets[source].currency
        rule, fee = self.fee("transfer", "payer", currency, amount)
        of_payee, taken = self.fee("transfer", "payee", currency, amount)
        self.must_pay(source, amount, fee, "transfer")
        self.must_take(destination, amount, currency, taken)
        done = Done([(source, -amount), (destination, amount)])
        _charge(done, source, currency, rule, fee)
        return self._posted(_charge(done, destination, currency, of_payee, taken))

    def payment(self, source: str, amount: int, payees: Sequence[Mapping[str, Any]]) -> Done:
        """Pay to many."""
        currency = self.wallets[source].currency
        parts = shared(amount, payees)
        rule, fee = self.fee("payment", "payer", currency, amount)
        self.must_pay(source, amount, fee, "payment")
        done = Done([(source, -amount)])
        self._pay("payment", source, payees, parts, done)
        return self._posted(_charge(done, source, currency, rule, fee))

    def quote(self, source: str, destination: str, amount: int, until: datetime) -> Done:
        """Promise what an amount comes to."""
        spread = exchange.spread_of(self.fx, source, destination)
        if spread is None:
            raise Refused("pair_not_offered", 422)
        mid = exchange.mid_rate(source, destination)
        got = exchange.destination_of(amount, exchange.in_minor(mid, source, destination), spread)
        if got == 0:
            raise Refused("quote_amount_out_of_range", 422)
        quote = Quote(source, destination, amount, got, mid, spread, until)
        return Done(made=quote, quote=quote)

    def convert(self, quote_id: str, payer: str, payee: str) -> Done:
        """Use a quote."""
        quote = self.quotes[quote_id]
        if quote_id in self.used:
            raise Refused("quote_used")
        rule, fee = self.fee("conversion", "payer", quote.source_currency, quote.source)
        of_payee, taken = self.fee("conversion", "payee", quote.destination_currency, quote.destination)
        self.must_pay(payer, quote.source, fee, "conversion", quote.source_currency)
        self.must_take(payee, quote.destination, quote.destination_currency, taken)
        self.used.add(quote_id)
        done = Done(exchange.entries(quote, payer, payee))
        _charge(done, payer, quote.source_currency, rule, fee)
        _charge(done, payee, quote.destination_currency, of_payee, taken)
        self.post(done.entries)
        return done

    def take_back(self, transaction_id: str, amount: int | None, how: str) -> Done:
        """Take a transaction back: a part by a `refund` or a `chargeback`, all that is left by a `reversal`."""
        posted = self.transactions[transaction_id]
        other, moved = posted.entries[1]
        if how == "chargeback" and not (other.startswith("external:") and moved < 0):
            raise Refused("transaction_not_refundable")
        if posted.is_reversed:
            raise Refused("transaction_reversed")
        amount = posted.left if amount is None else amount
        if amount > posted.left or posted.left == 0:
            raise Refused("refund_exceeds_transaction")
        parts = posted.parts(amount, everything=how == "reversal")
        self._must_take_back(posted, parts, is_forced=how == "chargeback")
        posted.back = [before + part for before, part in zip(posted.back, parts, strict=True)]
        posted.is_reversed = how == "reversal"
        done = Done(posted.answered(parts, list(self.wallets)))
        self.post(done.entries)
        return done

    def _must_take_back(self, posted: Posted, parts: Sequence[int], *, is_forced: bool) -> None:
        net: dict[str, int] = {}
        for (account, _), part in zip(posted.entries, parts, strict=True):
            if account in self.wallets and part:
                net[account] = net.get(account, 0) + part
        for wallet, moved in sorted(net.items(), key=lambda each: each[1] >= 0):
            if is_forced and not self.wallets[wallet].is_closed:
                continue
            if moved < 0:
                self.must_pay(wallet, -moved, 0)
            else:
                self.must_take(wallet, moved, self.wallets[wallet].currency, 0)

    def place(self, wallet: str, amount: int, now: datetime, expires_at: datetime) -> Done:
        """Hold money."""
        rule, fee = self.fee("capture", "payer", self.wallets[wallet].currency, amount)
        self.must_pay(wallet, amount, fee, "payment")
        hold = Hold(wallet, amount, rule if fee else None, fee, now, expires_at)
        return Done(hold=hold, made=hold)

    def increase(self, hold_id: str, amount: int) -> Done:
        """Hold more."""
        hold = self._open(hold_id)
        self.must_pay(hold.wallet, amount, self._more(hold, amount), "payment")
        hold.fee_left += self._more(hold, amount)
        hold.placed += amount
        return Done(hold=hold)

    def capture(self, hold_id: str, amount: int | None, payees: Sequence[Mapping[str, Any]], *, final: bool) -> Done:
        """Pay what is held."""
        hold = self._open(hold_id)
        amount = hold.remaining if amount is None else amount
        over = amount - hold.remaining
        if over > hold.placed * self.hold_terms["overcapture_ppm"] // 1_000_000:
            raise Refused("capture_exceeds_hold")
        more = self._more(hold, over) if over > 0 else 0
        if over > 0:
            self.must_pay(hold.wallet, over, more, "payment")
        parts = shared(amount, payees)
        done = Done([(hold.wallet, -amount)], hold=hold)
        self._pay("capture", hold.wallet, payees, parts, done)
        if over > 0:
            hold.placed, hold.fee_left = hold.placed + over, hold.fee_left + more
        is_all = amount == hold.remaining
        fee = hold.fee_left if is_all else hold.fee_left * amount // hold.remaining
        hold.captured, hold.fee_left = hold.captured + amount, hold.fee_left - fee
        if final or is_all:
            hold.released, hold.fee_left, hold.status = hold.released + hold.remaining, 0, "captured"
        return self._posted(_charge(done, hold.wallet, self.wallets[hold.wallet].currency, hold.fee_rule, fee))

    def void(self, hold_id: str) -> Done:
        """Release what is held."""
        return self._release(self._open(hold_id), "voided")

    def expire(self, hold_id: str) -> Done:
        """Release what is held: its time has come."""
        return self._release(self.holds[hold_id], "expired")

    def restrict(self, wallet: str, scope: str) -> Done:
        """Restrict a wallet."""
        if self.wallets[wallet].is_closed:
            raise Refused("wallet_closed")
        self.wallets[wallet].scope = scope
        return Done()

    def lift(self, wallet: str) -> Done:
        """Lift the restriction."""
        if self.wallets[wallet].is_closed:
            raise Refused("wallet_closed")
        if self.wallets[wallet].scope is None:
            raise Refused("wallet_not_frozen")
        self.wallets[wallet].scope = None
        return Done()

    def close(self, wallet: str) -> Done:
        """Close an empty wallet."""
        found = self.wallets[wallet]
        if found.is_closed:
            raise Refused("wallet_closed")
        if found.posted or self.held(wallet):
            raise Refused("wallet_not_empty")
        found.is_closed = True
        return Done()

    def set_overdraft(self, wallet_id: str, limit: int) -> Done:
        """Set a credit line."""
        wallet = self.wallets[wallet_id]
        if wallet.is_closed:
            raise Refused("wallet_closed")
        if limit < -self.available(wallet_id):
            raise Refused("overdraft_in_use")
        wallet.overdraft = limit
        return Done()

    def describe(self, wallet_id: str) -> Done:
        """Change what a wallet is called."""
        if self.wallets[wallet_id].is_closed:
            raise Refused("wallet_closed")
        return Done()

    def change_policy(self, section: str, version: int, document: Any) -> Done:
        """Change a section of the policy."""
        if version != self.policy_version:
            raise Refused("policy_version_conflict")
        self.policy_version += 1
        if section == "fees":
            self.fees = document
        elif section == "fx":
            self.fx = document
        elif section == "tiers":
            self.limits = document[0]["limits"] if document else ()
        else:
            self.hold_terms = document
        return Done()

    # -- parts

    def _open(self, hold_id: str) -> Hold:
        hold = self.holds[hold_id]
        if hold.status != "open":
            raise Refused("hold_settled")
        return hold

    def _more(self, hold: Hold, amount: int) -> int:
        rule_id = None if hold.fee_rule is None else hold.fee_rule["id"]
        rule = next((rule for rule in self.fees if rule["id"] == rule_id), None)
        return 0 if rule is None else max(0, fee_of(rule, hold.placed + amount) - fee_of(rule, hold.placed))

    def _release(self, hold: Hold, status: str) -> Done:
        hold.released, hold.fee_left, hold.status = hold.released + hold.remaining, 0, status
        return Done(hold=hold)

    def _pay(
        self, operation: str, payer: str, payees: Sequence[Mapping[str, Any]], parts: Sequence[int], done: Done
    ) -> None:
        currency = self.wallets[payer].currency
        for payee, part in zip(payees, parts, strict=True):
            if "external" in payee:
                done.entries.append((f"external:{currency}", part))
                continue
            if payee["wallet_id"] == payer:
                raise Refused("same_wallet")
            rule, fee = self.fee(operation, "payee", currency, part)
            self.must_take(payee["wallet_id"], part, currency, fee)
            done.entries.append((payee["wallet_id"], part))
            _charge(done, payee["wallet_id"], currency, rule, fee)

    def _posted(self, done: Done) -> Done:
        assert sum(amount for _, amount in done.entries) == 0
        self.post(done.entries)
        done.made = done.made or Posted(list(done.entries), frozenset(done.fee_places))
        return done


def _charge(done: Done, wallet: str, currency: str, rule: Mapping[str, Any] | None, fee: int) -> Done:
    if rule is not None and fee:
        done.fee_places |= {len(done.entries), len(done.entries) + 1}
        done.entries += [(wallet, -fee), (f"fees:{currency}", fee)]
        done.fees.append((rule["id"], wallet, fee))
    return done
