"""The books of the model: wallets, system accounts and terms; who may pay and get, and how an amount is posted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.money import BALANCE_MINOR_MAX
from demo.bounding import Bounds
from demo.money import to_text
from demo.pricing import Rule, charged, rule_for
from demo.states import ChargedFee, Entry, Expected, PostedState, Refused, WalletState

ACCEPTED = 201
NOT_FOUND = 404


@dataclass(slots=True)
class Books:
    """What there is. *turn* counts what was done so far."""

    wallets: dict[str, WalletState] = field(default_factory=dict)
    accounts: Counter[str] = field(default_factory=Counter)
    fees: Sequence[Rule] = ()
    bounds: Bounds = field(default_factory=Bounds)
    fx: dict[str, Any] = field(default_factory=dict)
    overcapture_ppm: int = 0
    turn: int = 0

    def copy(self, names: set[str]) -> "Books":
        """Return books that stay as they are now, with the wallets *names* alone."""
        kept = {name: replace(wallet) for name, wallet in self.wallets.items() if name in names}
        return replace(self, wallets=kept, accounts=self.accounts.copy(), bounds=self.bounds.copy())

    def wallet(self, name: str) -> WalletState:
        """Return a wallet; refuse a name that nobody has."""
        if name not in self.wallets:
            raise Refused("wallet_not_found", NOT_FOUND)
        return self.wallets[name]

    def fee(
        self, operation: str, bearer: str, wallet: WalletState, amount_minor: int, payer: WalletState
    ) -> ChargedFee | None:
        """Return what *wallet* bears of an operation by the tier of who pays."""
        if not self.fees:
            return None
        tier = self.bounds.tier_of(payer.owner)
        return charged(rule_for(self.fees, (operation, bearer), wallet.currency, tier), wallet, amount_minor)

    def must_pay(
        self,
        payer: WalletState,
        amount_minor: int,
        currency: str,
        fee: ChargedFee | None = None,
        operation: str | None = None,
    ) -> None:
        """Refuse what the payer may not spend; *operation* is bounded by limits where it is given."""
        _must_be_usable(payer, currency, is_restricted=payer.scope is not None)
        if operation is not None:
            self.bounds.must_allow(payer, (operation, "debit"), amount_minor)
        if amount_minor + (fee.minor if fee else 0) > payer.spendable_minor:
            raise Refused("insufficient_funds")

    def must_take(
        self,
        payee: WalletState,
        amount_minor: int,
        currency: str,
        fee: ChargedFee | None = None,
        *,
        operation: str | None = None,
        is_concealed: bool = False,
    ) -> None:
        """Refuse what the payee may not get; who may not see it is not told why."""
        try:
            _must_be_usable(payee, currency, is_restricted=payee.scope == "all")
            if operation is not None:
                self.bounds.must_allow(payee, (operation,), amount_minor)
            _must_have_room(payee, amount_minor, fee)
        except Refused as refused:
            raise Refused("payee_refuses") if is_concealed else refused from None

    def count(self, payer: WalletState, amount_minor: int, operation: str) -> None:
        """Count what was spent under the limits on it."""
        self.bounds.count(payer, (operation, "debit"), amount_minor, self.turn)


def _must_be_usable(wallet: WalletState, currency: str, *, is_restricted: bool) -> None:
    if wallet.is_closed:
        raise Refused("wallet_closed")
    if is_restricted:
        raise Refused("wallet_frozen")
    if wallet.currency != currency:
        raise Refused("currency_mismatch")


def _must_have_room(payee: WalletState, amount_minor: int, fee: ChargedFee | None) -> None:
    if fee is not None and fee.minor > amount_minor:
        raise Refused("fee_exceeds_amount")
    if payee.posted_minor + amount_minor > BALANCE_MINOR_MAX:
        raise Refused("balance_overflow")


class Draft:
    """A transaction while it is posted, entry by entry in the order of its answer, as *sender* sees it."""

    def __init__(self, books: Books, sender: str | None = None) -> None:
        self.books = books
        self._sender = sender
        self._entries: list[Entry] = []
        self._fees: list[ChargedFee] = []

    def conceals(self, wallet: WalletState) -> bool:
        """Tell whether the sender may not see the wallet."""
        return self._sender is not None and wallet.owner != self._sender

    def move(self, wallet: WalletState, delta_minor: int, *, held_minor: int = 0, is_fee: bool = False) -> None:
        """Post an entry to a wallet."""
        wallet.posted_minor += delta_minor
        wallet.held_minor += held_minor
        wallet.version += 1
        after = wallet.posted_minor, wallet.version
        concealed = self.conceals(wallet)
        self._entries.append(Entry(wallet.name, wallet.currency, delta_minor, *after, concealed, is_fee))

    def account(self, kind: str, currency: str, delta_minor: int, *, is_fee: bool = False) -> None:
        """Post an entry to a system account."""
        name = f"{kind}:{currency}"
        self.books.accounts[name] += delta_minor
        self._entries.append(Entry(name, currency, delta_minor, is_fee=is_fee))

    def charge(self, fee: ChargedFee | None, *, held_minor: int = 0) -> None:
        """Post a fee, *held_minor* of it out of what was reserved."""
        if fee is None:
            return
        wallet = self.books.wallets[fee.wallet]
        self.move(wallet, -fee.minor, held_minor=-held_minor, is_fee=True)
        self.account("fees", wallet.currency, fee.minor, is_fee=True)
        if not self.conceals(wallet):
            self._fees.append(fee)

    def posted(self, kind: str) -> PostedState:
        """Return what may be taken back: what rounding may leave of it then goes to an account of each currency."""
        entries = list(self._entries)
        exchanged = [entry.currency for entry in entries if entry.system == "fx"]
        closed = {entry.currency for entry in entries if entry.system == "rounding"}
        entries += [Entry(f"rounding:{currency}", currency, 0) for currency in exchanged if currency not in closed]
        return PostedState(kind, tuple(entries), [0] * len(entries))

    @property
    def expected(self) -> Expected:
        """What the command must be answered."""
        return Expected(ACCEPTED, entries=tuple(self._entries), fees=tuple(self._fees))


def amount(minor: int, currency: str) -> dict[str, str]:
    """Return an amount as it is told."""
    return {"amount": to_text(minor, currency), "currency": currency}
