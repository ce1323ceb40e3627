"""What an operation must have to itself, and what it may share: that decides what may be played at once."""

from collections.abc import Iterable, Sequence

from demo.model import Model
from demo.operations import (
    Asked,
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
    Payee,
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

_Still = Open | Withdrawal | Freeze | Unfreeze | Close | Hold | Quote | Policy | Tier | Limits | Overdraft | Describe
Touched = tuple[Iterable[str], Iterable[str]]
"""What is touched alone, and what is shared."""


def touched(operation: Asked, model: Model) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that *operation* must have to itself, and those it may share, before the *model* has done it.

    Credits of one wallet may come in any order: nothing that any of them answers depends on it. A debit or a change of
    state depends on all that came before, and so does what is counted of all wallets of an owner.
    """
    commands: Sequence[Command | Single] = operation.commands if isinstance(operation, Batch) else (operation,)
    alone: set[str] = set()
    shared: set[str] = set()
    for command in commands:
        some, others = _of(command, model)
        alone.update(some)
        shared.update(others)
    owners = {model.wallets[name].owner for name in alone if name in model.wallets}
    alone |= {f"owner {owner}" for owner in owners if model.books.bounds.counts(owner)}
    return frozenset(alone), frozenset(shared - alone)


def key_of(line: int) -> str:
    """Return the name of what *line* made, and of its key."""
    return f"key {line}"


def _of(command: Command | Single, model: Model) -> Touched:
    match command:
        case Deposit():
            return (), (command.wallet,)
        case Transfer() | Convert():
            return (command.source, *_made(command)), (command.target,)
        case Payment():
            return (command.source,), _wallets(command.payees)
        case Increase() | Capture() | Void() | Lapse():
            payees = _wallets(command.payees) if isinstance(command, Capture) else ()
            return (*_made(command), model.holds[command.of].wallet), payees
        case Refund() | Reverse() | ChargeBack():
            entries = model.transactions[command.of].entries
            return (*_made(command), *(entry.account for entry in entries if entry.is_wallets)), ()
        case _:
            return _terms(command, model), ()


def _terms(command: _Still, model: Model) -> Iterable[str]:
    """Return what a command that gives nothing to another wallet has alone."""
    match command:
        case Tier():
            return [wallet.name for wallet in model.wallets.values() if wallet.owner == command.owner]
        case Quote() | Policy():
            return ()
        case _:
            return (command.wallet,)


def _made(command: Command | Single) -> Iterable[str]:
    of: int | None = getattr(command, "of", None)
    return () if of is None else (key_of(of),)


def _wallets(payees: Sequence[Payee]) -> Iterable[str]:
    return (payee.wallet for payee in payees if payee.wallet is not None)
