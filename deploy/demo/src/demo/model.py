"""An independent model of the platform: wallets by name, whole numbers, and what each operation must be answered."""

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.money import BALANCE_MINOR_MAX
from demo.money import to_minor
from demo.operations import (
    Batch,
    Close,
    Command,
    Deposit,
    Freeze,
    MoneyCommand,
    Open,
    Scope,
    Transfer,
    Unfreeze,
    Withdrawal,
)

OPENED = ACCEPTED = 201
CHANGED = 200
REFUSED = 409
NOT_FOUND = 404


@dataclass(slots=True)
class WalletState:
    """A wallet as it must be.

    *scope* is that of its restriction; *id_bytes* are those the platform gave it; *owner* is empty where nobody asks.
    """

    name: str
    currency: str
    posted_minor: int = 0
    version: int = 1
    is_closed: bool = False
    scope: Scope | None = None
    id_bytes: bytes | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One wallet's entry: the signed amount, and balance and version after it if nothing else happens meanwhile."""

    wallet: str
    delta_minor: int
    posted_minor_after: int
    version_after: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What a command must be answered.

    *code* is the problem's, None for a success; *entries* are a transaction's, of which *concealed* are of wallets
    that its sender may not see: those have no balance after them.
    """

    status: int
    code: str | None = None
    entries: tuple[Entry, ...] = ()
    concealed: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """What a batch must be answered: a result per command, or, refused as a whole, the command at *index*."""

    status: int
    results: tuple[Expected, ...] = ()
    index: int | None = None
    refusal: Expected | None = None


class Model:
    """The wallets, and what operations in their order do to them."""

    def __init__(self, wallets: dict[str, WalletState] | None = None) -> None:
        self.wallets = {} if wallets is None else wallets

    def owner_of_payer(self, operation: Command | Batch) -> str | None:
        """Return the owner who may send *operation* for itself: a transfer, a withdrawal, or an atomic batch of them.

        None for what is the platform's to do (deposits, openings, changes of state, independent batches, whose debits
        of one wallet may be more than a user's limit ever admits), for debits of several owners, and where nobody has
        the wallet.
        """
        match operation:
            case Transfer():
                payer = self.wallets.get(operation.source)
            case Withdrawal():
                payer = self.wallets.get(operation.wallet)
            case Batch(mode="atomic"):
                owners = {self.owner_of_payer(command) for command in operation.commands}
                return owners.pop() if len(owners) == 1 else None
            case _:
                payer = None
        return None if payer is None else payer.owner

    def apply(self, command: Command, sender: str | None = None) -> Expected:
        """Do *command*, sent by the owner *sender* or, if None, by the platform; return what it must be answered."""
        match command:
            case Open():
                self.wallets[command.wallet] = WalletState(command.wallet, command.currency, owner=command.owner)
                return Expected(OPENED)
            case Deposit():
                return self._move(command, None, command.wallet, sender)
            case Withdrawal():
                return self._move(command, command.wallet, None, sender)
            case Transfer():
                return self._move(command, command.source, command.target, sender)
            case Freeze() | Unfreeze() | Close():
                return self._change(command)
            case _:
                assert_never(command)

    def apply_batch(self, batch: Batch, sender: str | None = None) -> ExpectedBatch:
        """Do the commands of *batch*, sent as in `apply`, all or none where it is atomic; return what is answered."""
        if batch.mode == "independent":
            return ExpectedBatch(CHANGED, tuple(self.apply(command, sender) for command in batch.commands))
        before = {name: replace(wallet) for name, wallet in self.wallets.items() if name in _names(batch)}
        results = []
        for index, command in enumerate(batch.commands):
            expected = self.apply(command, sender)
            if expected.code is not None:
                self._restore(_names(batch), before)
                return ExpectedBatch(REFUSED, index=index, refusal=expected)
            results.append(expected)
        return ExpectedBatch(CHANGED, tuple(results))

    def _restore(self, names: set[str], before: dict[str, WalletState]) -> None:
        for name in names - before.keys():
            self.wallets.pop(name, None)
        self.wallets |= before

    def _move(self, command: MoneyCommand, source: str | None, target: str | None, sender: str | None) -> Expected:
        amount = to_minor(command.amount, command.currency)
        payer = None if source is None else self.wallets.get(source)
        payee = None if target is None else self.wallets.get(target)
        if (source and payer is None) or (target and payee is None):
            return Expected(NOT_FOUND, "wallet_not_found")
        is_concealed = payee is not None and sender is not None and payee.owner != sender
        code = (payer and _debit_refusal(payer, amount, command.currency)) or (
            payee and _credit_refusal(payee, amount, command.currency, is_concealed=is_concealed)
        )
        if code:
            return Expected(REFUSED, code)
        moved = ((payer, -amount), (payee, amount))
        entries = tuple(_post(wallet, delta) for wallet, delta in moved if wallet is not None)
        return Expected(ACCEPTED, entries=entries, concealed=int(is_concealed))

    def _change(self, command: Freeze | Unfreeze | Close) -> Expected:
        wallet = self.wallets.get(command.wallet)
        if wallet is None:
            return Expected(NOT_FOUND, "wallet_not_found")
        if wallet.is_closed:
            return Expected(REFUSED, "wallet_closed")
        if isinstance(command, Unfreeze) and wallet.scope is None:
            return Expected(REFUSED, "wallet_not_frozen")
        if isinstance(command, Close) and wallet.posted_minor:
            return Expected(REFUSED, "wallet_not_empty")
        wallet.is_closed = isinstance(command, Close)
        if not wallet.is_closed:
            wallet.scope = command.scope if isinstance(command, Freeze) else None
        wallet.version += 1
        return Expected(CHANGED)


def _names(batch: Batch) -> set[str]:
    names = set()
    for command in batch.commands:
        names |= {command.source, command.target} if isinstance(command, Transfer) else {command.wallet}
    return names


def _debit_refusal(payer: WalletState, amount_minor: int, currency: str) -> str | None:
    if payer.is_closed:
        return "wallet_closed"
    if payer.scope is not None:
        return "wallet_frozen"
    if payer.currency != currency:
        return "currency_mismatch"
    return "insufficient_funds" if amount_minor > payer.posted_minor else None


def _credit_refusal(payee: WalletState, amount_minor: int, currency: str, *, is_concealed: bool) -> str | None:
    refusal = _reason_against_credit(payee, amount_minor, currency)
    return "payee_refuses" if refusal is not None and is_concealed else refusal


def _reason_against_credit(payee: WalletState, amount_minor: int, currency: str) -> str | None:
    if payee.is_closed:
        return "wallet_closed"
    if payee.scope == "all":
        return "wallet_frozen"
    if payee.currency != currency:
        return "currency_mismatch"
    return "balance_overflow" if payee.posted_minor + amount_minor > BALANCE_MINOR_MAX else None


def _post(wallet: WalletState, delta_minor: int) -> Entry:
    wallet.posted_minor += delta_minor
    wallet.version += 1
    return Entry(wallet.name, delta_minor, wallet.posted_minor, wallet.version)
