"""What the ledger of one tenant must be, told without any of the product's code: plain integers of minor units.

Each command checks everything before it changes anything, and raises Refused where the ledger must refuse it.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from tests.mix.amounts import Refused, fee_of, money
from tests.mix.exchange import Quote
from tests.mix.limits import Limits
from tests.mix.things import Done, Entry, Fee, Hold, Posted, Wallet

from servicekit.clock import utc_now

KEPT_MAX: Final = 60
"""Of settled holds, transactions and quotes: commands are about the newest."""


@dataclass
class World:
    """The ledger of one tenant; *at* is when the command happens that is judged."""

    at: datetime = field(default_factory=utc_now)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    policy_version: int = 0
    fees: Sequence[Mapping[str, Any]] = ()
    quotes: dict[str, Quote] = field(default_factory=dict)
    transactions: dict[str, Posted] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    fx: Mapping[str, Any] = field(default_factory=lambda: {"pairs": [], "spread_ppm": 0})
    hold_terms: Mapping[str, int] = field(default_factory=lambda: {"days": 7, "days_max": 31, "overcapture_ppm": 0})
    limits: Limits = field(default_factory=Limits)
    owner_versions: dict[str, int] = field(default_factory=dict)

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
        return replace(
            self,
            wallets={each: copy(wallet) for each, wallet in self.wallets.items()},
            holds={each: hold.copy() for each, hold in self.holds.items()},
            quotes=dict(self.quotes),
            transactions={each: posted.copy() for each, posted in self.transactions.items()},
            used=set(self.used),
            limits=self.limits.copy(),
            owner_versions=dict(self.owner_versions),
        )

    def held(self, wallet_id: str) -> int:
        """Return what is held of a wallet."""
        return sum(hold.held for hold in self.holds.values() if hold.wallet == wallet_id)

    def available(self, wallet_id: str) -> int:
        """Return what can be spent of a wallet."""
        return self.wallets[wallet_id].posted - self.held(wallet_id)

    # -- rules

    def must_be_open(self, wallet_id: str) -> Wallet:
        """Refuse what a closed wallet takes no part in."""
        wallet = self.wallets[wallet_id]
        if wallet.is_closed:
            raise Refused("wallet_closed")
        return wallet

    def must_pay(
        self, wallet_id: str, amount: int, fee: int, operation: str | None = None, currency: str | None = None
    ) -> None:
        """Refuse what the payer may not spend, or not in an *operation* that is bounded.

        *currency* is the amount's where it may be another than the wallet's.
        """
        payer = self.must_be_open(wallet_id)
        if payer.scope is not None:
            raise Refused("wallet_frozen")
        if currency not in {None, payer.currency}:
            raise Refused("currency_mismatch", currency=payer.currency)
        if operation is not None:
            self.limits.allow(wallet_id, payer, (operation, "debit"), amount, self.at)
        available = self.available(wallet_id)
        if amount + fee > available + payer.overdraft:
            told = {"available": available, **({"required": amount + fee, "fee": fee} if fee else {})}
            facts: dict[str, Any] = {name: money(each, payer.currency) for name, each in told.items()}
            raise Refused("insufficient_funds", **facts)

    def must_take(self, wallet_id: str, amount: int, currency: str, fee: int, bounds: str = "balance") -> None:
        """Refuse what the payee may not receive; *bounds*: a `deposit`'s, those on its `balance` alone, or `none`."""
        payee = self.must_be_open(wallet_id)
        if payee.scope == "all":
            raise Refused("wallet_frozen")
        if payee.currency != currency:
            raise Refused("currency_mismatch", currency=payee.currency)
        if bounds == "deposit":
            self.limits.allow(wallet_id, payee, ("deposit",), amount, self.at)
        if bounds != "none":
            self.limits.allow_balance(wallet_id, payee, amount, self.at)
        if fee > amount:
            raise Refused("fee_exceeds_amount", fee=money(fee, currency))

    def fee(self, operation: str, bearer: str, currency: str, amount: int, payer: str) -> Fee:
        """Return the rule that applies, that of the tier of *payer*'s owner before one without, and its fee."""
        tier = self.limits.tier(self.wallets[payer].owner)
        uses = [
            rule
            for rule in self.fees
            if (rule["operation"], rule["bearer"], rule["currency"]) == (operation, bearer, currency)
        ]
        for wanted in (tier, None):
            for rule in uses:
                if rule.get("tier") == wanted:
                    return rule, fee_of(rule, amount)
        return None, 0

    # -- what is done

    def count(self, wallet_id: str, operation: str, amount: int) -> None:
        """Count a debit that is carried out, or a deposit."""
        operations = (operation,) if operation == "deposit" else (operation, "debit")
        self.limits.count(wallet_id, self.wallets[wallet_id], operations, amount, self.at)

    def post(self, entries: Iterable[Entry]) -> None:
        """Carry out entries."""
        for account, amount in entries:
            if account in self.wallets:
                self.wallets[account].posted += amount

    def posted(self, kind: str, done: Done) -> Done:
        """Carry out a transaction, and have it kept."""
        self.post(done.entries)
        currencies = {account: self.wallets[account].currency for account, _ in done.entries if account in self.wallets}
        made = Posted(kind, list(done.entries), frozenset(done.fee_places), currencies)
        sums: dict[str, int] = {}
        for place, (_, amount) in enumerate(made.entries):
            sums[made.currency_at(place)] = sums.get(made.currency_at(place), 0) + amount
        assert not any(sums.values()), sums
        done.made = made
        return done
