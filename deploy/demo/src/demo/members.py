"""Who does what money can do beside transfers: members hold, pay to several, convert; some of it is taken back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TypeVar

from demo.model import Model
from demo.money import to_minor, to_text
from demo.operations import (
    Capture,
    ChargeBack,
    Convert,
    Deposit,
    Describe,
    Hold,
    Increase,
    Lapse,
    Limits,
    Open,
    Operation,
    Overdraft,
    Payee,
    Payment,
    Quote,
    Refund,
    Reverse,
    Tier,
    Transfer,
    Void,
)
from demo.states import HoldState, PostedState
from demo.terms import CARDS, MEMBER, NOT_OFFERED, TRUSTED

T = TypeVar("T")

MEMBERS = 12
RECENT = 60  # holds that somebody still thinks of, and twelve times as many transactions
QUOTES_RECENT = 20  # a quote is good for five minutes, however slowly the day is played
LASTS_S = 6  # real seconds, so that a hold ends by itself while the day is played
LAPSES_MAX = 10
LAPSES_UNTIL = 18_000  # the line: the last one has ended when the day does
PPM = 1_000_000
CURRENCIES = {"": "USD", "-card": "USD", "-eur": "EUR", "-jpy": "JPY"}
CREDIT = "60.00"


@dataclass(slots=True)
class Members:
    """The members while their day is written down; *sellers* are whom they pay.

    Nothing is taken back of the wallets *left_alone*, which somebody else restricts at a time that the day cannot know.
    """

    random: Random
    model: Model
    sellers: list[str]
    left_alone: frozenset[str] = frozenset()
    lapsing: set[int] = field(default_factory=set)
    names: list[str] = field(default_factory=list)

    def dawn(self) -> Iterator[Operation]:
        """Open the members' wallets, and give them their terms and something to spend."""
        for number in range(MEMBERS):
            owner = f"member-{number}"
            for suffix, currency in CURRENCIES.items():
                self.names.append(owner + suffix)
                yield Open(self.names[-1], owner, currency)
            yield Limits(owner)
            yield Limits(f"{owner}-card", CARDS)
            yield Limits(f"{owner}-eur")
            yield Tier(owner, TRUSTED if number % 3 else MEMBER)
            yield Deposit(owner, "600.00", "USD", "salary")
            yield Deposit(f"{owner}-eur", "200.00", "EUR", "salary")

    def due(self, line: int) -> Operation | None:
        """Return what must follow the line before *line*: nothing comes between a hold that ends by itself and that."""
        hold = self.model.holds.get(line - 1)
        return Lapse(line - 1) if line - 1 in self.lapsing and hold is not None else None

    def step(self, line: int) -> Operation:
        """Return what is done at *line*."""
        ways: dict[Callable[[int], Operation | None], int] = {
            self.hold: 13,
            self.increase: 3,
            self.capture: 15,
            self.void: 2,
            self.lapsing_hold: 1,
            self.payment: 13,
            self.refund: 12,
            self.reversal: 2,
            self.charge_back: 2,
            self.quote: 8,
            self.conversion: 9,
            self.top_up: 12,
            self.between: 5,
            self.terms: 2,
            self.mistake: 7,
        }
        while True:
            (way,) = self.random.choices(list(ways), list(ways.values()))
            if (operation := way(line)) is not None:
                return operation

    def hold(self, _line: int, lasts_s: int | None = None) -> Operation | None:
        """Return the placing of a hold, by somebody who can pay it."""
        name = self.random.choice([name for name in self.names if not name.endswith(("-eur", "-jpy"))])
        amount = self.some_of(name)
        return None if amount is None else Hold(name, amount, "USD", lasts_s)

    def lapsing_hold(self, line: int) -> Operation | None:
        """Return the placing of a hold that nobody settles: the platform releases it."""
        if len(self.lapsing) >= LAPSES_MAX or line > LAPSES_UNTIL:
            return None
        placed = self.hold(line, LASTS_S)
        if placed is not None:
            self.lapsing.add(line)
        return placed

    def increase(self, _line: int) -> Operation | None:
        """Return the increase of an open hold."""
        found = self.open_hold()
        amount = None if found is None else self.some_of(found[1].wallet, share=10)
        return None if found is None or amount is None else Increase(found[0], amount, found[1].currency)

    def capture(self, _line: int) -> Operation | None:
        """Return a capture: of all, of a part, of the last part, or of a little more than is held."""
        found = self.open_hold()
        if found is None:
            return None
        line, hold = found
        way = self.random.choice(("all", "part", "part", "final", "over"))
        if way == "all":
            return Capture(line, self.payees(hold.remaining_minor, hold.currency), hold.currency)
        most = hold.remaining_minor
        minor = most * 104 // 100 if way == "over" else self.random.randint(max(1, most // 3), most)
        payees = self.payees(minor, hold.currency)
        return Capture(line, payees, hold.currency, to_text(minor, hold.currency), way == "final")

    def void(self, _line: int) -> Operation | None:
        """Return the voiding of an open hold."""
        found = self.open_hold()
        return None if found is None else Void(found[0])

    def payment(self, _line: int) -> Operation | None:
        """Return a payment to several."""
        name = self.random.choice([name for name in self.names if not name.endswith("-jpy")])
        currency, amount = self.model.wallets[name].currency, self.some_of(name)
        if amount is None:
            return None
        return Payment(name, amount, currency, self.payees(to_minor(amount, currency), currency))

    def refund(self, _line: int) -> Operation | None:
        """Return a refund of a part of what is left of a transaction, or of all of it."""
        found = self.transaction("deposit", "withdrawal", "transfer", "payment", "payment", "capture", "convert")
        if found is None:
            return None
        line, posted = found
        left, with_fees = posted.paid_minor - posted.refunded_minor, self.random.random() < 1 / 3
        if left == 0 or self.random.random() < 1 / 4:
            return Refund(line, posted.currency, with_fees=with_fees)
        minor = self.random.randint(max(1, left // 5), left)
        return Refund(line, posted.currency, to_text(minor, posted.currency), with_fees)

    def reversal(self, _line: int) -> Operation | None:
        """Return the reversal of a transaction, a chargeback that was won among them."""
        found = self.transaction("transfer", "payment", "capture", "convert", "chargeback")
        return None if found is None else Reverse(found[0])

    def charge_back(self, _line: int) -> Operation | None:
        """Return a bank's taking back of a deposit, or of a part of it."""
        found = self.transaction("deposit")
        if found is None:
            return None
        line, posted = found
        left = posted.paid_minor - posted.refunded_minor
        minor = max(1, self.random.choice((left, left // 2)))
        return ChargeBack(line, to_text(minor, posted.currency), posted.currency)

    def quote(self, _line: int) -> Operation:
        """Return the asking for a quote, by what is given or by what is got."""
        source, target = self.random.choice((("USD", "EUR"), ("USD", "EUR"), ("EUR", "USD"), ("USD", "JPY")))
        if self.random.random() < 1 / 4:
            source, target = "JPY", "EUR"
            return Quote(source, target, to_text(self.random.randint(100, 3_000), source))
        minor = self.random.randint(100, 4_000)
        if self.random.random() < 1 / 3:
            return Quote(source, target, target_amount=to_text(minor, target))
        return Quote(source, target, to_text(minor, source))

    def conversion(self, _line: int) -> Operation | None:
        """Return the use of a quote, mostly within one member's wallets."""
        unused = [line for line, quote in recent(self.model.quotes, QUOTES_RECENT) if not quote.is_used]
        return self.conversion_by(self.random.choice(unused)) if unused else None

    def conversion_by(self, line: int) -> Operation:
        """Return the use of the quote of *line*."""
        quote = self.model.quotes[line]
        by_currency = {currency: suffix for suffix, currency in CURRENCIES.items() if suffix != "-card"}
        payer = self.random.randrange(MEMBERS)
        payee = payer if self.random.random() < 3 / 4 else self.random.randrange(MEMBERS)
        source, target = f"member-{payer}{by_currency[quote.source]}", f"member-{payee}{by_currency[quote.target]}"
        return Convert(line, source, target)

    def top_up(self, _line: int) -> Operation:
        """Return a member's deposit."""
        name = self.random.choice(self.names)
        currency = self.model.wallets[name].currency
        return Deposit(name, to_text(self.random.randint(4_000, 16_000), currency), currency, "salary")

    def between(self, _line: int) -> Operation | None:
        """Return a transfer to the member's card."""
        owner = f"member-{self.random.randrange(MEMBERS)}"
        amount = self.some_of(owner, share=2)
        return None if amount is None else Transfer(owner, f"{owner}-card", amount, "USD", "card")

    def terms(self, _line: int) -> Operation:
        """Return a change of a card's terms: its credit line, its label."""
        name = f"member-{self.random.randrange(MEMBERS)}-card"
        if self.random.random() < 2 / 3:
            return Overdraft(name, self.random.choice((CREDIT, "0")), "USD")
        return Describe(name, f"card no. {self.random.randint(1, 9_999)}")

    def mistake(self, _line: int) -> Operation | None:
        """Return something that is refused."""
        ways = (self.too_much_captured, self.too_much_refunded, self.used_again, self.too_much_at_once, self.settled)
        return self.random.choice((*ways, lambda: Quote(*NOT_OFFERED, "10.00")))()

    def too_much_captured(self) -> Operation | None:
        """Return the capture of more than a hold may give."""
        found = self.open_hold()
        if found is None:
            return None
        line, hold = found
        minor = hold.remaining_minor + hold.placed_minor // 8 + 1
        return Capture(line, self.payees(minor, hold.currency), hold.currency, to_text(minor, hold.currency))

    def too_much_refunded(self) -> Operation | None:
        """Return the refund of one unit more than is left."""
        found = self.transaction("payment", "capture", "convert")
        if found is None:
            return None
        line, posted = found
        minor = posted.paid_minor - posted.refunded_minor + 1
        return Refund(line, posted.currency, to_text(minor, posted.currency))

    def used_again(self) -> Operation | None:
        """Return the second use of a quote."""
        used = [line for line, quote in recent(self.model.quotes, QUOTES_RECENT) if quote.is_used]
        return self.conversion_by(self.random.choice(used)) if used else None

    def too_much_at_once(self) -> Operation:
        """Return a transfer that a tier does not allow."""
        owner = f"member-{self.random.randrange(MEMBERS)}"
        return Transfer(owner, f"{owner}-card", to_text(self.random.randint(15_001, 20_000), "USD"), "USD", "card")

    def settled(self) -> Operation | None:
        """Return the voiding of a hold that is settled."""
        settled = [line for line, hold in recent(self.model.holds) if hold.status != "open"]
        return Void(self.random.choice(settled)) if settled else None

    def some_of(self, name: str, *, share: int = 4) -> str | None:
        """Return a part of what a wallet can spend, or None if there is next to nothing."""
        wallet = self.model.wallets[name]
        if wallet.spendable_minor < 100 * share:
            return None
        return to_text(self.random.randint(100, min(wallet.spendable_minor // share, 9_000)), wallet.currency)

    def payees(self, minor: int, currency: str) -> tuple[Payee, ...]:
        """Return who gets *minor*: sellers, each by an amount, a share or the rest, and sometimes somebody outside."""
        sellers = [name for name in self.sellers if self.model.wallets[name].currency == currency]
        names: list[str | None] = [*self.random.sample(sellers, self.random.randint(1, 3))]
        if self.random.random() < 1 / 5:
            names.append(None)
        if minor < 40 * len(names):
            return (Payee(names[0]),)
        way = self.random.choice(("shares", "rest", "both"))
        if way == "rest":
            each = to_text(minor // (len(names) + 1), currency)
            return (*(Payee(name, each) for name in names[:-1]), Payee(names[-1]))
        if way == "both" and len(names) > 1:
            shares = (Payee(name, share_ppm=PPM // 3) for name in names[1:-1])
            return (Payee(names[0], to_text(minor // 3, currency)), *shares, Payee(names[-1]))
        even = PPM // len(names)
        last = PPM - even * (len(names) - 1)
        return (*(Payee(name, share_ppm=even) for name in names[:-1]), Payee(names[-1], share_ppm=last))

    def open_hold(self) -> tuple[int, HoldState] | None:
        """Return an open hold with its line."""
        found = [item for item in self.model.holds.items() if item[1].status == "open"]
        return self.random.choice(found) if found else None

    def transaction(self, *kinds: str) -> tuple[int, PostedState] | None:
        """Return a transaction of one of *kinds*, of not long ago, with its line."""
        kind = self.random.choice(kinds)
        of_kind = [
            (line, posted)
            for line, posted in recent(self.model.transactions, 12 * RECENT)
            if posted.kind == kind and not any(entry.account in self.left_alone for entry in posted.entries)
        ]
        return self.random.choice(of_kind) if of_kind else None


def recent(made: dict[int, T], most: int = RECENT) -> list[tuple[int, T]]:
    """Return the newest of what was made, each with its line."""
    return list(islice(reversed(made.items()), most))[::-1]
