"""Make the recorded day of a marketplace: `python -m demo.generate` writes `deploy/demo/data/day.jsonl.gz`.

The same seed makes the same day. The model is played along, so that a buyer knows what there is to spend, and a share
of the operations is wrong on purpose.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec

from demo.members import Members
from demo.model import Model
from demo.money import to_text
from demo.operations import (
    DAY,
    Batch,
    Close,
    Command,
    Deposit,
    Freeze,
    Lapse,
    Line,
    Open,
    Operation,
    Policy,
    Repeat,
    Reuse,
    Single,
    Transfer,
    Unfreeze,
    Withdrawal,
)
from demo.states import WalletState
from demo.terms import POLICY

SEED = 20_261_121
OPERATIONS = 22_000
SECONDS_OF_A_DAY = 86_400
CURRENCIES = ("USD", "EUR", "GBP", "JPY")
SHARE_OF_CURRENCY = (12, 6, 3, 2)
SELLERS = 48
BUYERS_AT_DAWN = 90
FEE_PERCENT = 3
NOBODY = "nobody"  # a name that no line opens
WORTH_SPENDING = 100  # minor units
PRICE_MAX = 40_000
FROZEN_MAX = 3  # wallets at once: the risk desk is quick
RECENT = 200  # how far back a client repeats a request
THIEF = "thief"
BURST_AT = 350  # the line: early, so that a day cut short has it too
BURST = 90  # debits in one request, against the 60 an hour that the demo's rule allows
BURST_AMOUNT_MAX = 300
MULES = tuple(f"mule-{number}" for number in range(5))
MULE_AMOUNT = "40.00"
WHOLE = {"JPY": 100}  # minor units of a small coin are worth a hundred times more there

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Market:
    """The marketplace while its day is written down."""

    random: Random
    model: Model = field(default_factory=Model)
    buyers: list[str] = field(default_factory=list)
    sellers: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    mule_step: int = 0
    members: Members = field(init=False)

    def __post_init__(self) -> None:
        """Let the members pay the same sellers."""
        self.members = Members(self.random, self.model, self.sellers, frozenset({THIEF}))

    def dawn(self) -> Iterator[Operation]:
        """Put the policy, open the platform's, the sellers' and the first buyers' wallets, with something to spend."""
        yield from POLICY
        for currency in CURRENCIES:
            yield Open(fees_of(currency), "platform", currency)
        yield Open("star-usd", "star", "USD")
        yield Open("star-eur", "star", "EUR")
        for name in (THIEF, *MULES):
            yield Open(name, f"person-{name}", "USD")
        yield Deposit(THIEF, "500.00", "USD", "card")
        for number in range(SELLERS):
            yield self.seller(number)
        for _ in range(BUYERS_AT_DAWN):
            yield self.buyer()
        for name in self.buyers:
            yield self.deposit(name)
        yield from self.members.dawn()

    def seller(self, number: int) -> Open:
        """Return the opening of a seller's wallet."""
        self.sellers.append(f"seller-{number}")
        return Open(self.sellers[-1], f"shop-{number // 2}", CURRENCIES[number % len(CURRENCIES)])

    def buyer(self) -> Open:
        """Return the opening of a new buyer's wallet."""
        number = len(self.buyers) + len(self.gone)
        self.buyers.append(f"buyer-{number}")
        (currency,) = self.random.choices(CURRENCIES, SHARE_OF_CURRENCY)
        return Open(self.buyers[-1], f"person-{number}", currency)

    def state(self, name: str) -> WalletState:
        """Return a wallet as the model has it."""
        return self.model.wallets[name]

    def amount(self, currency: str, least: int, most: int) -> str:
        """Return an amount of *least* to *most* hundredths of a dollar's size."""
        minor = self.random.randint(least, most)
        return to_text(max(1, minor // WHOLE.get(currency, 1)), currency)

    def deposit(self, name: str) -> Deposit:
        """Return a top-up."""
        currency = self.state(name).currency
        return Deposit(name, self.amount(currency, 2_000, 60_000), currency, "card")

    def any_buyer(self) -> str:
        """Return a buyer; the early ones buy more than the rest."""
        return self.buyers[int(len(self.buyers) * self.random.random() ** 1.2)]

    def seller_for(self, currency: str) -> str:
        """Return a seller of that currency; every third purchase is at the star's."""
        star = f"star-{currency.lower()}"
        if star in self.model.wallets and self.random.random() < 1 / 3:
            return star
        return self.random.choice([name for name in self.sellers if self.state(name).currency == currency])

    def affordable(self, name: str) -> int | None:
        """Return a price in minor units that *name* can pay, or None if there is next to nothing."""
        posted = self.state(name).posted_minor
        if posted < WORTH_SPENDING:
            return None
        return self.random.randint(WORTH_SPENDING // 2, min(posted, PRICE_MAX) // 2)

    def purchase(self) -> Operation:
        """Return a purchase: a transfer to the seller, or, with the platform's share, an atomic batch."""
        name = self.any_buyer()
        price = self.affordable(name)
        if price is None:
            return self.deposit(name)
        currency = self.state(name).currency
        seller = self.seller_for(currency)
        if self.random.random() < 2 / 3:
            return Transfer(name, seller, to_text(price, currency), currency, "order")
        fee = max(1, price * FEE_PERCENT // 100)
        return Batch(
            "atomic",
            (
                Transfer(name, seller, to_text(price - fee, currency), currency, "order"),
                Transfer(name, fees_of(currency), to_text(fee, currency), currency, "fee"),
            ),
        )

    def listing_fee(self) -> Operation:
        """Return a fee to the platform's wallet, the hottest of all, paid by a buyer with a premium account."""
        name = self.any_buyer()
        currency = self.state(name).currency
        return Transfer(name, fees_of(currency), self.amount(currency, 1, 99), currency, "premium")

    def withdrawal(self) -> Operation:
        """Return a buyer's or the star's withdrawal."""
        name = self.random.choice(["star-usd", "star-eur", *(self.any_buyer() for _ in range(8))])
        price = self.affordable(name)
        if price is None:
            return self.deposit(name)
        currency = self.state(name).currency
        return Withdrawal(name, to_text(price, currency), currency, "bank")

    def payouts(self) -> Operation:
        """Return sellers' payouts as one independent batch; who sold too little is refused."""
        names = self.random.sample(self.sellers, self.random.randint(3, 12))
        commands = []
        for name in names:
            currency = self.state(name).currency
            commands.append(Withdrawal(name, self.amount(currency, 100, 6_000), currency, "payout"))
        return Batch("independent", tuple(commands))

    def mistake(self) -> Operation:
        """Return something that a rule forbids."""
        name = self.any_buyer()
        currency = self.state(name).currency
        other = CURRENCIES[(CURRENCIES.index(currency) + 1) % len(CURRENCIES)]
        posted = max(0, self.state(name).posted_minor)  # a chargeback may have taken more than there was
        too_much = to_text(posted + self.random.randint(1, 50_000), currency)
        return self.random.choice(
            (
                Transfer(name, self.seller_for(currency), too_much, currency, "too much"),
                Withdrawal(name, too_much, currency),
                Deposit(name, self.amount(other, 100, 900), other, "wrong currency"),
                Transfer(name, fees_of(other), self.amount(currency, 1, 2), currency, "wrong currency"),
                Unfreeze(name),
                Deposit(NOBODY, "1.00", "USD"),
                self.overdrawn_batch(name, too_much, currency),
                Deposit(self.random.choice(self.gone or [NOBODY]), self.amount(currency, 100, 900), currency),
            )
        )

    def overdrawn_batch(self, name: str, too_much: str, currency: str) -> Batch:
        """Return an atomic batch whose last command cannot be paid, so that nothing of it happens."""
        top_up = Deposit(name, to_text(1, currency), currency)
        return Batch("atomic", (top_up, Transfer(name, self.seller_for(currency), f"9{too_much}", currency)))

    def risk(self) -> Operation:
        """Return what the risk desk does: freeze, see the frozen refused, unfreeze, close what is empty."""
        if len(self.frozen) > FROZEN_MAX:
            return Unfreeze(self.random.choice(self.frozen))
        if self.frozen and self.random.random() < 2 / 3:
            name = self.random.choice(self.frozen)
            currency = self.state(name).currency
            return self.random.choice(
                (
                    Unfreeze(name),
                    Transfer(name, self.seller_for(currency), self.amount(currency, 100, 101), currency, "frozen"),
                    Deposit(name, self.amount(currency, 100, 900), currency, "frozen"),
                )
            )
        return Freeze(self.any_buyer(), self.random.choice(("debits", "all")))

    def farewell(self) -> Operation:
        """Return the end of a buyer's account: the rest is paid out, then it is closed. Some try too early."""
        name = self.random.choice(self.buyers[BUYERS_AT_DAWN // 2 :] or self.buyers)
        state = self.state(name)
        if state.posted_minor > 0 and self.random.random() < 3 / 4:
            return Withdrawal(name, to_text(state.posted_minor, state.currency), state.currency, "the rest")
        return Close(name)

    def burst(self) -> Batch:
        """Return the theft: everything that is in a wallet, in small amounts to many, all at once."""
        sellers = [name for name in self.sellers if self.state(name).currency == "USD"]
        amounts = (to_text(self.random.randint(1, BURST_AMOUNT_MAX), "USD") for _ in range(BURST))
        commands = (Transfer(THIEF, self.random.choice(sellers), amount, "USD", "gift") for amount in amounts)
        return Batch("independent", tuple(commands))

    def mule(self) -> Operation:
        """Return the next step of the mules: money handed from one to the next all day, never much at a time."""
        step = self.mule_step
        self.mule_step = (step + 1) % (len(MULES) + 1)
        if step == 0:
            return Deposit(MULES[0], MULE_AMOUNT, "USD", "card")
        if step == len(MULES):
            return Withdrawal(MULES[-1], MULE_AMOUNT, "USD", "bank")
        return Transfer(MULES[step - 1], MULES[step], MULE_AMOUNT, "USD", "rent")

    def done(self, operation: Operation, line: int) -> None:
        """Play *operation* of *line* along."""
        if isinstance(operation, Batch):
            self.model.apply_batch(operation)
        elif not isinstance(operation, Repeat | Reuse):
            self._follow(operation, is_done=self.model.apply(operation, line=line).code is None)

    def _follow(self, command: Command | Single, *, is_done: bool) -> None:
        if not is_done:
            return
        match command:
            case Freeze() if command.wallet not in self.frozen:
                self.frozen.append(command.wallet)
            case Unfreeze():
                self.frozen.remove(command.wallet)
            case Close():
                self.buyers.remove(command.wallet)
                self.gone.append(command.wallet)
                if command.wallet in self.frozen:
                    self.frozen.remove(command.wallet)
            case _:
                pass


def fees_of(currency: str) -> str:
    """Return the platform's fee wallet of that currency."""
    return f"fees-{currency.lower()}"


def generate(seed: int, operations: int) -> list[Line]:
    """Return a day of *operations* lines; the same arguments make the same day."""
    random = Random(seed)  # noqa: S311 - a day that can be made again, no secret
    market = Market(random)
    times = sorted(random.triangular(0, SECONDS_OF_A_DAY, 0.8 * SECONDS_OF_A_DAY) for _ in range(operations))
    lines: list[Line] = []
    dawn = market.dawn()
    for n, second in enumerate(times, 1):
        is_burst = n == BURST_AT
        operation = market.burst() if is_burst else next(dawn, None) or _next(market, lines)
        market.done(operation, n)
        of: int | None = getattr(operation, "of", None)
        if of is not None:
            lines[of - 1] = msgspec.structs.replace(lines[of - 1], is_answer_kept=True)
        copies = 2 if random.random() < 1 / 50 and not isinstance(operation, Repeat | Reuse | Lapse) else 1
        lines.append(Line(n, _clock(second), operation, copies, trips=THIEF if is_burst else None))
    return lines


def _next(market: Market, lines: list[Line]) -> Operation:
    n = len(lines) + 1
    due = market.members.due(n)
    if due is not None:
        return due
    kinds = (
        (market.purchase, 46),
        (market.listing_fee, 12),
        (lambda: market.deposit(market.any_buyer()), 12),
        (market.withdrawal, 6),
        (market.payouts, 2),
        (market.mistake, 6),
        (market.risk, 3),
        (market.farewell, 2),
        (market.buyer, 3),
        (market.mule, 3),
        (lambda: market.members.step(n), 9),
        (lambda: _repeat(market.random, lines), 7),
        (lambda: _reuse(market.random, lines), 1),
    )
    (make,) = market.random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
    return make()


def _recent(random: Random, lines: list[Line]) -> int:
    """Return the number of a recent line that asked for something itself."""
    while True:
        line = lines[-random.randint(1, min(RECENT, len(lines)))]
        if not isinstance(line.op, Repeat | Reuse | Policy | Lapse):
            return line.n


def _repeat(random: Random, lines: list[Line]) -> Repeat:
    return Repeat(_recent(random, lines))


def _reuse(random: Random, lines: list[Line]) -> Operation:
    """Return a request under a taken key: that of a deposit, which has another amount or goes somewhere else."""
    of = _recent(random, lines)
    earlier = lines[of - 1].op
    if not isinstance(earlier, Deposit) or earlier.wallet == NOBODY:  # a key whose request found nothing stays free
        return Repeat(of)
    return Reuse(of, Deposit(earlier.wallet, f"1{earlier.amount}", earlier.currency))


def _clock(second: float) -> str:
    minutes, seconds = divmod(int(second), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def write(lines: list[Line], path: Path) -> None:
    """Write *lines* as a recorded day."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(as_text(lines), compresslevel=9, mtime=0))


def as_text(lines: list[Line]) -> bytes:
    """Return *lines* as they are recorded."""
    return b"".join(_encode(line) + b"\n" for line in lines)


if __name__ == "__main__":
    write(generate(SEED, OPERATIONS), DAY)
