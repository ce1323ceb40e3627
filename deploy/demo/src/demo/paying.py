"""Money that moves at once: deposits, withdrawals, transfers, payments."""

from collections.abc import Sequence

from demo.books import Books, Draft
from demo.money import to_minor
from demo.operations import Deposit, Payee, Payment, Transfer, Withdrawal
from demo.sharing import parts_of
from demo.states import ChargedFee, WalletState

Paid = Sequence[tuple[WalletState | None, int, ChargedFee | None]]
"""Who gets how much, and bears which fee; None is somebody outside."""


def deposit(books: Books, command: Deposit, draft: Draft) -> None:
    """Take money in."""
    payee, minor = books.wallet(command.wallet), to_minor(command.amount, command.currency)
    fee = books.fee("deposit", "payee", payee, minor, payee)
    books.must_take(payee, minor, command.currency, fee, operation="deposit")
    draft.move(payee, minor)
    draft.account("external", payee.currency, -minor)
    draft.charge(fee)
    books.bounds.count(payee, ("deposit",), minor, books.turn)


def withdraw(books: Books, command: Withdrawal, draft: Draft) -> None:
    """Pay money out."""
    payer, minor = books.wallet(command.wallet), to_minor(command.amount, command.currency)
    fee = books.fee("withdrawal", "payer", payer, minor, payer)
    books.must_pay(payer, minor, command.currency, fee, "withdrawal")
    draft.move(payer, -minor)
    draft.account("external", payer.currency, minor)
    draft.charge(fee)
    books.count(payer, minor, "withdrawal")


def transfer(books: Books, command: Transfer, draft: Draft) -> None:
    """Move money between two wallets."""
    payer, payee = books.wallet(command.source), books.wallet(command.target)
    minor = to_minor(command.amount, command.currency)
    paid = books.fee("transfer", "payer", payer, minor, payer)
    taken = books.fee("transfer", "payee", payee, minor, payer)
    books.must_pay(payer, minor, command.currency, paid, "transfer")
    books.must_take(payee, minor, command.currency, taken, is_concealed=draft.conceals(payee))
    draft.move(payer, -minor)
    draft.move(payee, minor)
    draft.charge(paid)
    draft.charge(taken)
    books.count(payer, minor, "transfer")


def pay(books: Books, command: Payment, draft: Draft) -> None:
    """Pay to many."""
    payer, minor = books.wallet(command.source), to_minor(command.amount, command.currency)
    parts = parts_of(minor, command.payees, command.currency)
    fee = books.fee("payment", "payer", payer, minor, payer)
    books.must_pay(payer, minor, command.currency, fee, "payment")
    paid = payees_of(draft, "payment", payer, command.payees, parts)
    draft.move(payer, -minor)
    pay_out(paid, payer.currency, draft)
    draft.charge(fee)
    books.count(payer, minor, "payment")


def payees_of(draft: Draft, operation: str, payer: WalletState, payees: Sequence[Payee], parts: Sequence[int]) -> Paid:
    """Return who gets which part; refuse what one of them may not get."""
    books = draft.books
    found: list[tuple[WalletState | None, int, ChargedFee | None]] = []
    for payee, part in zip(payees, parts, strict=True):
        if payee.wallet is None:
            found.append((None, part, None))
            continue
        wallet = books.wallet(payee.wallet)
        fee = books.fee(operation, "payee", wallet, part, payer)
        books.must_take(wallet, part, payer.currency, fee, is_concealed=draft.conceals(wallet))
        found.append((wallet, part, fee))
    return found


def pay_out(paid: Paid, currency: str, draft: Draft) -> None:
    """Post what every payee gets."""
    for wallet, part, fee in paid:
        if wallet is None:
            draft.account("external", currency, part)
        else:
            draft.move(wallet, part)
            draft.charge(fee)
