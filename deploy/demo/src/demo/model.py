"""An independent model of the platform: wallets by name, whole numbers, and what each operation must be answered.

Every command checks all that may refuse it before it changes anything.
"""

from collections import Counter
from typing import Any, assert_never

from demo import converting, holding, paying
from demo.books import ACCEPTED, Books, Draft, amount
from demo.money import from_text, to_minor
from demo.operations import (
    Batch,
    Capture,
    ChargeBack,
    Close,
    Command,
    Convert,
    Deposit,
    Describe,
    Freeze,
    Hold,
    Increase,
    Lapse,
    Limits,
    Open,
    Overdraft,
    Payment,
    Policy,
    Quote,
    Refund,
    Reverse,
    Single,
    Tier,
    Transfer,
    Unfreeze,
    Void,
    Withdrawal,
)
from demo.states import Expected, ExpectedBatch, HoldState, PostedState, QuoteState, Refused, WalletState
from demo.taking_back import kind_of, take_back

CHANGED = 200
REFUSED = 409
Moving = Deposit | Withdrawal | Transfer | Payment | Capture | Convert | Refund | Reverse | ChargeBack
"""What makes a transaction."""


class Model:
    """The wallets and all about them, and what operations in their order do to them.

    *holds*, *transactions* and *quotes* are by the line that made them. *done_minor* is what was refunded and
    converted, by these words and currency.
    """

    def __init__(self, wallets: dict[str, WalletState] | None = None, accounts: Counter[str] | None = None) -> None:
        self.books = Books({} if wallets is None else wallets, Counter() if accounts is None else accounts)
        self.holds: dict[int, HoldState] = {}
        self.transactions: dict[int, PostedState] = {}
        self.quotes: dict[int, QuoteState] = {}
        self.done_minor: Counter[tuple[str, str]] = Counter()

    @property
    def wallets(self) -> dict[str, WalletState]:
        """The wallets by name."""
        return self.books.wallets

    def owner_of_payer(self, operation: Command | Single | Batch) -> str | None:
        """Return the owner who may send *operation* for itself: what spends of its wallets, or an atomic batch of that.

        None for what is the platform's to do (deposits, openings, changes of state, captures, refunds, independent
        batches, whose debits of one wallet may be more than a user's limit ever admits), for debits of several owners,
        and where nobody has the wallet.
        """
        match operation:
            case Transfer() | Payment() | Convert():
                payer = self.wallets.get(operation.source)
            case Withdrawal() | Hold():
                payer = self.wallets.get(operation.wallet)
            case Batch(mode="atomic"):
                owners = {self.owner_of_payer(command) for command in operation.commands}
                return owners.pop() if len(owners) == 1 else None
            case _:
                payer = None
        return None if payer is None else payer.owner

    def apply(self, command: Command | Single, sender: str | None = None, *, line: int = 0) -> Expected:
        """Do *command* of *line*, sent by the owner *sender* or, if None, by the platform; return what is answered."""
        self.books.turn += 1
        try:
            return self._apply(command, sender, line)
        except Refused as refused:
            return refused.expected

    def apply_batch(self, batch: Batch, sender: str | None = None) -> ExpectedBatch:
        """Do the commands of *batch*, sent as in `apply`, all or none where it is atomic; return what is answered."""
        if batch.mode == "independent":
            return ExpectedBatch(CHANGED, tuple(self.apply(command, sender) for command in batch.commands))
        before = self.books.copy(_names(batch))
        results = []
        for index, command in enumerate(batch.commands):
            expected = self.apply(command, sender)
            if expected.code is not None:
                self._restore(_names(batch), before)
                return ExpectedBatch(REFUSED, index=index, refusal=expected)
            results.append(expected)
        return ExpectedBatch(CHANGED, tuple(results))

    def _restore(self, names: set[str], before: Books) -> None:
        for name in names - before.wallets.keys():
            self.wallets.pop(name, None)
        self.wallets.update(before.wallets)
        self.books.accounts.clear()
        self.books.accounts.update(before.accounts)
        self.books.bounds = before.bounds

    def _apply(self, command: Command | Single, sender: str | None, line: int) -> Expected:
        match command:
            case Open() | Quote():
                return self._make(command, line)
            case Freeze() | Unfreeze() | Close():
                return self._change(command)
            case Hold() | Increase() | Void() | Lapse():
                return self._hold(command, line)
            case Policy() | Tier():
                return self._put(command)
            case Limits() | Overdraft() | Describe():
                return self._set(command)
            case _:
                return self._transaction(command, Draft(self.books, sender), line)

    def _transaction(self, command: Moving, draft: Draft, line: int) -> Expected:
        kind = type(command).__name__.lower()
        match command:
            case Deposit():
                paying.deposit(self.books, command, draft)
            case Withdrawal():
                paying.withdraw(self.books, command, draft)
            case Transfer():
                paying.transfer(self.books, command, draft)
            case Payment():
                paying.pay(self.books, command, draft)
            case Capture():
                holding.capture(self.books, self.holds[command.of], command, draft)
            case Convert():
                quote = self.quotes[command.of]
                converting.convert(self.books, quote, command, draft)
                self.done_minor["converted", quote.source] += quote.source_minor
            case Refund() | Reverse() | ChargeBack():
                of = self.transactions[command.of]
                self.done_minor["refunded", of.currency] += take_back(self.books, of, command, draft)
                kind = kind_of(command)
            case _:
                assert_never(command)
        if line:
            self.transactions[line] = draft.posted(kind)
        return draft.expected

    def _hold(self, command: Hold | Increase | Void | Lapse, line: int) -> Expected:
        if isinstance(command, Hold):
            hold = self.holds[line] = holding.place(self.books, command)
            return Expected(ACCEPTED, shows=holding.shown(hold))
        hold = self.holds[command.of]
        match command:
            case Increase():
                holding.increase(self.books, hold, to_minor(command.amount, hold.currency))
            case Void():
                holding.void(self.books, hold)
            case Lapse():
                holding.lapse(self.books, hold)
        return Expected(CHANGED, shows=holding.shown(hold))

    def _make(self, command: Open | Quote, line: int) -> Expected:
        if isinstance(command, Open):
            self.wallets[command.wallet] = WalletState(command.wallet, command.currency, owner=command.owner)
            return Expected(ACCEPTED)
        promised = self.quotes[line] = converting.quote(self.books, command)
        return Expected(ACCEPTED, shows=converting.shown(self.books, promised))

    def _put(self, command: Policy | Tier) -> Expected:
        if isinstance(command, Tier):
            self.books.bounds.tier_by_owner[command.owner] = command.tier
            return Expected(CHANGED, shows={"id": command.owner, "tier": command.tier})
        books, document = self.books, command.document
        match command.section:
            case "fees":
                books.fees = document
            case "tiers":
                books.bounds.tiers = {tier["name"]: tier.get("limits", ()) for tier in document}
            case "fx":
                books.fx = document
            case "holds":
                books.overcapture_ppm = document["overcapture_ppm"]
        return Expected(CHANGED, shows={"version": command.version + 1})

    def _set(self, command: Limits | Overdraft | Describe) -> Expected:
        wallet = self.books.wallet(command.wallet)
        if wallet.is_closed:
            raise Refused("wallet_closed")
        label: dict[str, Any] = {}
        match command:
            case Limits():
                if command.limits:
                    self.books.bounds.own[wallet.name] = command.limits
            case Overdraft():
                limit_minor = from_text(command.limit, command.currency)
                used_minor = max(0, wallet.held_minor - wallet.posted_minor)
                if limit_minor < used_minor:
                    raise Refused("overdraft_in_use", used=amount(used_minor, wallet.currency))
                wallet.overdraft_minor = limit_minor
            case Describe():
                label = {"label": command.label}
        wallet.version += 1
        return Expected(CHANGED, shows={**shown(wallet), **label})

    def _change(self, command: Freeze | Unfreeze | Close) -> Expected:
        wallet = self.books.wallet(command.wallet)
        if wallet.is_closed:
            raise Refused("wallet_closed")
        if isinstance(command, Unfreeze) and wallet.scope is None:
            raise Refused("wallet_not_frozen")
        if isinstance(command, Close) and (wallet.posted_minor or wallet.held_minor):
            raise Refused("wallet_not_empty")
        wallet.is_closed = isinstance(command, Close)
        if not wallet.is_closed:
            wallet.scope = command.scope if isinstance(command, Freeze) else None
        wallet.version += 1
        return Expected(CHANGED)


def shown(wallet: WalletState) -> dict[str, Any]:
    """Return what must be told of a wallet that nothing else touches."""
    figures = {
        "posted": wallet.posted_minor,
        "held": wallet.held_minor,
        "available": wallet.posted_minor - wallet.held_minor,
    }
    return {
        "version": wallet.version,
        "balance": {name: amount(minor, wallet.currency) for name, minor in figures.items()},
        "overdraft_limit": amount(wallet.overdraft_minor, wallet.currency),
    }


def _names(batch: Batch) -> set[str]:
    names = set()
    for command in batch.commands:
        names |= {command.source, command.target} if isinstance(command, Transfer) else {command.wallet}
    return names
