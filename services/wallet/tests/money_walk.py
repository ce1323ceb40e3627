"""What is played at random on the model of money: each rule asks for something that the model can judge.

The rules are those of every machine of money: a seed decides each, so that Hypothesis shrinks which are played, and a
walk of a hundred thousand steps is as quick as its ledger.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Final

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.things import BALANCE_MAX, DECIMALS
from services.wallet.tests.money_odds import Odds

OWNERS: Final = ("ann", "ben", "cleo")
TIERS: Final = ("default", "gold", "plain")
WALLETS_MAX: Final = 14
CURRENCIES: Final = ("USD", "USD", "USD", "USD", "EUR", "JPY", "BHD")
RATES: Final = ("0.9", "1", "0.923958237088", "0.0000012", "1234567.5", "0.333333333333", "150.23560935", "2.5", "0.05")
SPREADS: Final = (0, 1, 5_000, 333_333, 500_000, 999_999)
MICROSECOND: Final = timedelta(microseconds=1)


class Walk(Odds):
    """Asks at random."""

    def ask(self, rule: str, dice: Random) -> asked.Asked | None:
        """Return what the *rule* asks by the throws of *dice*, None where there is nothing to ask it of."""
        self.dice = dice
        return RULES[rule](self)

    # -- money

    def open(self) -> asked.Asked | None:
        """Open one more wallet."""
        if len(self.model.wallets) >= WALLETS_MAX:
            return None
        line = self.dice.choice((0, 0, 0, 100))
        return asked.Open(self.dice.choice(OWNERS), self.dice.choice(CURRENCIES), line)

    def deposit(self) -> asked.Asked:
        """Take in more than the other rules move."""
        wallet = self._wallet()
        amount = self._amount() * self.dice.choice((1, 10, 40))
        if self._is_exact and self.dice.random() < 0.01:
            amount = BALANCE_MAX - self.model.wallets[wallet].posted + self.dice.choice((-40, 0, 1))
        return asked.Deposit(wallet, amount, self._currency(wallet))

    def withdraw(self) -> asked.Asked:
        """Pay out."""
        wallet = self._wallet()
        return asked.Withdraw(wallet, self._amount(wallet), self._currency(wallet))

    def transfer(self) -> asked.Asked:
        """Move money."""
        payer = self._wallet()
        return asked.Transfer(payer, self._payee(payer), self._amount(payer), self._currency(payer))

    def pay(self) -> asked.Asked:
        """Pay several."""
        payer = self._wallet()
        amount = self._amount(payer)
        return asked.Pay(payer, amount, self._currency(payer), self._to(payer, amount))

    # -- holds

    def place(self) -> asked.Asked:
        """Hold money."""
        wallet, policy = self._wallet(), self.model.policy
        longest = self.model.now + timedelta(days=policy.days_max)
        soon = self.model.now + timedelta(hours=3)
        ends = (*[None] * 6, longest + self._edge(), self.model.now + self._edge(), soon, soon)
        return asked.Place(wallet, self._amount(wallet), self._currency(wallet), self.dice.choice(ends))

    def increase(self) -> asked.Asked | None:
        """Hold more, or for longer."""
        name = self._hold()
        if name is None:
            return None
        hold, days_max = self.model.holds[name], self.model.policy.days_max
        latest = hold.placed[0][0] + timedelta(days=days_max)
        ends = (None, None, latest + self._edge(), hold.ends_at + self._edge(), hold.ends_at + timedelta(hours=1))
        ends_at = self.dice.choice(ends)
        amount = 0 if ends_at is not None and self.dice.random() < 0.5 else self._amount(hold.wallet)
        return asked.Increase(name, amount, self._currency(hold.wallet) if amount else None, ends_at)

    def capture(self) -> asked.Asked | None:
        """Pay out of a hold: a part, all of it, or around what may be captured beyond it."""
        name = self._hold()
        if name is None:
            return None
        hold = self.model.holds[name]
        beyond = hold.remaining + hold.amount * self.model.policy.overcapture_ppm // 10**6
        near = (self.dice.randint(1, max(1, hold.remaining)), hold.remaining, beyond, beyond + 1, self._amount())
        amount = self.dice.choice((None, *near, *near))
        is_forced = self.dice.random() < 0.1
        amount = None if amount is None else max(1, amount)
        is_to_itself = self.dice.random() < 0.02
        to = (asked.To(hold.wallet),) if is_to_itself else self._to(hold.wallet, amount or hold.remaining or 1)
        currency = None if amount is None else self._currency(hold.wallet)
        return asked.Capture(name, to, amount, currency, self.dice.random() < 0.4, is_forced)

    def void(self) -> asked.Asked | None:
        """Release a hold."""
        name = self._hold()
        return None if name is None else asked.Void(name)

    def expire(self) -> asked.Asked | None:
        """Do what the sweeper does with a hold that is due, or that it takes to be."""
        due = [name for name, hold in self.model.holds.items() if hold.status == "open" and self._is_over(hold.ends_at)]
        name = self.dice.choice(due) if due and self.dice.random() < 0.9 else self._hold()
        if name is None:
            return None
        ends_at = self.model.holds[name].ends_at
        return asked.Expire(name, ends_at if self.dice.random() < 0.9 else ends_at + MICROSECOND)

    # -- what goes back

    def take_back(self) -> asked.Asked | None:
        """Take something back of a transaction of any kind."""
        kinds = sorted({made.kind for made in self.model.made.values()})
        if not kinds:
            return None
        kind = self.dice.choice(kinds)
        name = self.dice.choice([name for name, made in self.model.made.items() if made.kind == kind])
        made = self.model.made[name]
        how = self.dice.choice(("refund", "refund", "refund", "reversal", "chargeback"))
        is_forced, returns_fees = self.dice.random() < 0.2, self.dice.random() < 0.4
        if how == "reversal":
            return asked.TakeBack(how, name, is_forced=is_forced)
        rests = [made.rests[place] for place in made.payees]
        left = sum(rests)
        amount = self.dice.choice((None, self._amount(), left, left + 1, self.dice.randint(1, max(1, left))))
        amount = None if amount is None else max(1, amount)
        if how == "chargeback":
            return asked.TakeBack(how, name, amount, None if amount is None else made.currency)
        if self.dice.random() < 0.25:
            parts = self._parts_of(name)
            return asked.TakeBack(how, name, None, made.currency, parts, returns_fees=returns_fees, is_forced=is_forced)
        currency = None if amount is None else self.dice.choice((made.currency, made.currency, made.currency, "EUR"))
        return asked.TakeBack(how, name, amount, currency, (), returns_fees=returns_fees, is_forced=is_forced)

    def _parts_of(self, name: str) -> tuple[tuple[str, int], ...]:
        made = self.model.made[name]
        places = [place for place in made.payees if made.entries[place].account is None]
        parts = {made.entries[place].wallet: max(1, made.rests[place] - self.dice.randint(-1, 9)) for place in places}
        return tuple(parts.items()) if parts and self.dice.random() < 0.9 else ((self._wallet(), 1),)

    # -- exchange

    def ask_for_quote(self) -> asked.Asked:
        """Ask for a quote."""
        source, destination = self.dice.choice(CURRENCIES), self.dice.choice(tuple(DECIMALS))
        if source == destination:
            destination = "EUR" if source == "USD" else "USD"
        amount = self.dice.choice((self._amount(), self._amount(), self.dice.randint(1, 10**5), 10**14))
        give, get = (amount, None) if self.dice.random() < 0.6 else (None, amount)
        valid_s = self.dice.choice((300, 300, 30 if self._is_exact else 300, 0))
        rate = None if self.dice.random() < 0.03 else self.dice.choice(RATES)
        return asked.AskForQuote(source, destination, give, get, valid_s, rate)

    def convert(self) -> asked.Asked | None:
        """Use a quote, mostly one that is open."""
        name = self._quote()
        if name is None:
            return None
        quote = self.model.quotes[name]
        payer = self._wallet_of(quote.source) if self.dice.random() < 0.95 else self._wallet()
        payee = self._wallet_of(quote.destination) if self.dice.random() < 0.95 else self._wallet()
        return None if payer is None or payee is None or payer == payee else asked.Convert(name, payer, payee)

    def expire_quote(self) -> asked.Asked | None:
        """Do what the sweeper does with a quote that is due."""
        name = self._quote()
        is_over = name is not None and self._is_over(self.model.quotes[name].ends_at)
        return asked.ExpireQuote(name) if name is not None and is_over else None

    # -- what is set

    def freeze(self) -> asked.Asked:
        """Restrict a wallet."""
        return asked.Freeze(self._wallet(), self.dice.choice(("law", "desk")), self.dice.choice(("debits", "all")))

    def unfreeze(self) -> asked.Asked:
        """Lift a restriction, mostly one that is there."""
        frozen = [(name, each) for name, known in self.model.wallets.items() for each in known.restrictions]
        if frozen and self.dice.random() < 0.95:
            return asked.Unfreeze(*self.dice.choice(frozen))
        return asked.Unfreeze(self._wallet(), "desk")

    def close(self) -> asked.Asked:
        """Close a wallet, mostly an empty one where there are many."""
        names = list(self.model.wallets)
        empty = [name for name in names if not self.model.wallets[name].posted and not self.model.held(name)]
        spare = len(names) == WALLETS_MAX and empty
        return asked.Close(self.dice.choice(empty) if spare else self.dice.choice(names))

    def set_line(self) -> asked.Asked:
        """Set a credit line, to around what is used of it."""
        wallet = self._wallet()
        used = max(0, -self.model.available(wallet))
        line = self.dice.choice((0, max(0, used - 1), used, self.dice.randrange(300)))
        return asked.SetLine(wallet, line, self._currency(wallet))

    def set_limits(self) -> asked.Asked:
        """Set a wallet's own limits, and its zone."""
        wallet = self._wallet()
        own = self._limits("wallet", self.model.wallets[wallet].currency) if self.dice.random() < 0.6 else ()
        return asked.SetLimits(wallet, self.dice.choice(self._zones), own)

    def set_tier(self) -> asked.Asked:
        """Set an owner's tier."""
        return asked.SetTier(self.dice.choice(OWNERS), self.dice.choice(TIERS))

    def set_tiers(self) -> asked.Asked:
        """Set which tiers there are, and their limits."""
        counts_owners = self.dice.random() < 0.6
        tiers = []
        for name in TIERS:
            if self.dice.random() < 0.6:
                limits = [
                    limit
                    for currency in ("USD", "EUR")
                    for scope in (("wallet", "owner") if counts_owners else ("wallet",))
                    for limit in self._limits(scope, currency)
                ]
                tiers.append((name, tuple(limits)))
        return asked.SetTiers(self._version(), tuple(tiers))

    def set_fees(self) -> asked.Asked:
        """Set the fee rules: one of each use at a time, mostly of tiers that there are."""
        tiers = TIERS if self.dice.random() < 0.05 else ("default", *self.model.policy.tiers)
        rules = [
            self._rule(operation, bearer, currency, tier)
            for operation in ("deposit", "withdrawal", "transfer", "payment", "capture", "conversion")
            for bearer in _BEARERS.get(operation, ("payer", "payee"))
            for currency in ("USD", "EUR", "JPY")
            for tier in (None, None, *tiers)
            if self.dice.random() < 0.15
        ]
        uses = {(rule.operation, rule.bearer, rule.currency, rule.tier): rule for rule in rules}
        return asked.SetFees(self._version(), tuple(uses.values()))

    def set_terms(self) -> asked.Asked:
        """Set how long holds last, and how much more may be captured."""
        days_max = self.dice.choice((1, 7, 31))
        ppm = self.dice.choice((0, 0, 100_000, 150_001, 333_333))
        return asked.SetTerms(self._version(), self.dice.randint(1, days_max), days_max, ppm)

    def set_pairs(self) -> asked.Asked:
        """Set which pairs are offered, most of them."""
        pairs = [
            (source, destination, self.dice.choice((None, *SPREADS)))
            for source in DECIMALS
            for destination in DECIMALS
            if source != destination and self.dice.random() < 0.9
        ]
        return asked.SetPairs(self._version(), self.dice.choice(SPREADS), tuple(pairs))


_BEARERS: Final[Mapping[str, tuple[str, ...]]] = {"deposit": ("payee",), "withdrawal": ("payer",)}
RULES: Final[Mapping[str, Callable[[Walk], asked.Asked | None]]] = {
    "open": Walk.open,
    "deposit": Walk.deposit,
    "withdraw": Walk.withdraw,
    "transfer": Walk.transfer,
    "pay": Walk.pay,
    "place": Walk.place,
    "increase": Walk.increase,
    "capture": Walk.capture,
    "void": Walk.void,
    "expire": Walk.expire,
    "take_back": Walk.take_back,
    "ask_for_quote": Walk.ask_for_quote,
    "convert": Walk.convert,
    "expire_quote": Walk.expire_quote,
    "freeze": Walk.freeze,
    "unfreeze": Walk.unfreeze,
    "close": Walk.close,
    "set_line": Walk.set_line,
    "set_limits": Walk.set_limits,
    "set_tier": Walk.set_tier,
    "set_tiers": Walk.set_tiers,
    "set_fees": Walk.set_fees,
    "set_terms": Walk.set_terms,
    "set_pairs": Walk.set_pairs,
}
WEIGHTS: Final[Mapping[str, int]] = {
    "open": 3,
    "deposit": 14,
    "withdraw": 8,
    "transfer": 12,
    "pay": 7,
    "place": 14,
    "increase": 5,
    "capture": 16,
    "void": 3,
    "expire": 4,
    "take_back": 12,
    "ask_for_quote": 5,
    "convert": 6,
    "expire_quote": 1,
    "freeze": 2,
    "unfreeze": 3,
    "close": 1,
    "set_line": 2,
    "set_limits": 3,
    "set_tier": 1,
    "set_tiers": 1,
    "set_fees": 2,
    "set_terms": 1,
    "set_pairs": 1,
}
"""How often each rule is played, of all."""
