"""The odds of what is played on the model of money: which wallet, which hold, how much, what limits and fees."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.limits import DEBITS
from services.wallet.tests.money_model.model import Model
from services.wallet.tests.money_model.things import Band, Limit, Rule, Wallet


class Odds:
    """Throws of *dice* on what *model* knows.

    *zones* are those of wallets, *edges* what is tried around an instant. *is_exact*: what happens at an instant is
    tried, and amounts of which there is no end.
    """

    def __init__(self, model: Model, zones: Sequence[str], edges: Sequence[timedelta], *, is_exact: bool) -> None:
        self.model = model
        self.dice = Random(0)
        self._zones = zones
        self._edges = edges
        self._is_exact = is_exact

    def _wallet(self) -> str:
        names = list(self.model.wallets)
        open_ones = [name for name in names if not self.model.wallets[name].is_closed]
        return self.dice.choice(names if not open_ones or self.dice.random() < 0.02 else open_ones)

    def _wallet_of(self, currency: str) -> str | None:
        names = [name for name, known in self.model.wallets.items() if known.currency == currency]
        return self.dice.choice(names) if names else None

    def _payee(self, payer: str) -> str:
        """Return another wallet, mostly of the payer's currency."""
        others = [name for name in self.model.wallets if name != payer]
        same = [name for name in others if self._currency(name) == self._currency(payer)]
        return self.dice.choice(same if same and self.dice.random() < 0.95 else others)

    def _to(self, payer: str, amount: int) -> tuple[asked.To, ...]:
        """Return to whom *amount* goes: parts that come to all of it, mostly."""
        others = [
            name for name in self.model.wallets if name != payer and self._currency(name) == self._currency(payer)
        ]
        self.dice.shuffle(others)
        payees: list[str | None] = [*others[: self.dice.randint(0, 3)], *([None] if self.dice.random() < 0.3 else [])]
        if len(payees) < 2:
            return (asked.To((payees or [None])[0]),)
        how = self.dice.random()
        if how < 0.35:
            share = 10**6 // len(payees)
            over = 10**6 - share * len(payees)
            shares = [share + over, *[share] * (len(payees) - 1)]
            return tuple(asked.To(payee, share=each) for payee, each in zip(payees, shares, strict=True))
        if how < 0.5:
            return tuple(asked.To(payee, share=self.dice.randint(1, 500_000)) for payee in payees)
        fixed = [asked.To(payee, self.dice.randint(1, max(1, amount // len(payees)))) for payee in payees[1:]]
        return asked.To(payees[0]), *fixed

    def currency_of(self, hold: str) -> str:
        """Return the currency of a hold."""
        return self.model.wallets[self.model.holds[hold].wallet].currency

    def _currency(self, wallet: str) -> str:
        if self.dice.random() < 0.005:
            return "EUR"
        return self.model.wallets[wallet].currency

    def _amount(self, wallet: str | None = None) -> int:
        """Return an amount that matters: small, a limit's, or around all that *wallet* may spend."""
        usual = (1, 7, 50, 99, 100, 101, self.dice.randrange(1, 250), self.dice.randrange(1, 250))
        if wallet is None or self.dice.random() < 0.85:
            return self.dice.choice(usual)
        known: Wallet = self.model.wallets[wallet]
        return max(1, self.model.available(wallet) + known.line + self.dice.choice((-9, 0, 0, 1)))

    def _hold(self) -> str | None:
        """Return a hold, mostly an open one."""
        names = list(self.model.holds)
        open_ones = [name for name in names if self.model.holds[name].status == "open"]
        live = [name for name in open_ones if not self._is_over(self.model.holds[name].ends_at)]
        how = self.dice.random()
        found = live if how < 0.85 else open_ones if how < 0.95 else names
        return self.dice.choice(found) if found else None

    def _quote(self) -> str | None:
        names = list(self.model.quotes)
        quotes = self.model.quotes
        live = [name for name in names if quotes[name].status == "open" and not self._is_over(quotes[name].ends_at)]
        found = live if self.dice.random() < 0.85 else names
        return self.dice.choice(found) if found else None

    def _is_over(self, ends_at: datetime) -> bool:
        return self.model.now >= ends_at

    def _edge(self) -> timedelta:
        return self.dice.choice(self._edges)

    def _version(self) -> int:
        return self.model.policy.version - (self.dice.random() < 0.03)

    def _limits(self, scope: str, currency: str) -> tuple[Limit, ...]:
        made = []
        for operation in (*DEBITS, "debit", "deposit"):
            if self.dice.random() < 0.7:
                continue
            limit: Limit = {"scope": scope, "operation": operation, "currency": currency}
            for name, most in (("per_transaction", 250), ("day_amount", 900), ("month_amount", 2_500)):
                if self.dice.random() < 0.4:
                    limit[name] = self.dice.randrange(most)
            for name, most in (("day_count", 6), ("month_count", 15)):
                if self.dice.random() < 0.3:
                    limit[name] = self.dice.randrange(most)
            if (scope, operation) == ("wallet", "deposit") and self.dice.random() < 0.5:
                limit["balance"] = self.dice.randrange(6_000)
            made.append(limit)
        return tuple(made)

    def _rule(self, operation: str, bearer: str, currency: str, tier: str | None) -> Rule:
        """Return a rule at random, in force now or not."""
        dice = self.dice
        name = f"{operation}-{bearer}-{currency}-{tier}-{dice.choice('ab')}"
        starts, ends = (self.model.now + self._edge() if dice.random() < 0.1 else None for _ in range(2))
        if starts is not None and ends is not None:
            ends = None
        if dice.random() < 0.4:
            low = dice.randrange(20, 90)
            bands = tuple(
                Band(up_to, dice.choice((0, 1, 5)), dice.choice((0, 10_000, 25_001))) for up_to in (low, low * 2, None)
            )
            return Rule(
                name,
                operation,
                currency,
                bearer,
                tier,
                bands=bands,
                is_marginal=dice.random() < 0.5,
                valid_from=starts,
                valid_until=ends,
            )
        lowest = dice.choice((None, None, 0, 3))
        highest = dice.choice((None, None, 4, 60))
        return Rule(
            name,
            operation,
            currency,
            bearer,
            tier,
            dice.choice((0, 0, 1, 30)),
            dice.choice((0, 5_000, 25_000, 33_333)),
            lowest,
            highest,
            valid_from=starts,
            valid_until=ends,
        )
