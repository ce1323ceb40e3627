"""Who owns what, and who may do what with it: a model of the ledger that knows nothing of the product's mandates.

It is written from the rules, not from the code: a sender acts for owners of one tenant, takes money out of their
wallets alone, opens wallets for them alone, and pays any wallet of the tenant. Whatever else it names is, to it, not
there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from wallet.domain.commands import Command
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends commands: of one tenant, for the owners named, or for every owner of the tenant."""

    kind: str
    tenant_id: UUID
    client: UUID
    owners: frozenset[str] = frozenset()
    for_everybody: bool = False

    def acts_for(self, tenant_id: UUID, owner: str) -> bool:
        """Tell whether what the owner has in that tenant is the sender's to use."""
        return tenant_id == self.tenant_id and (self.for_everybody or owner in self.owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A wallet. *restrictions* are (source, scope) pairs."""

    tenant_id: UUID
    owner: str
    currency: str
    minor: int = 0
    restrictions: frozenset[tuple[str, str]] = frozenset()
    is_closed: bool = False


Purses = Mapping[UUID, Purse]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request comes to. *what* is one of those below, *code* a refusal's, *wallet_id* of what is not there.

    *index* is the command's place in an atomic batch of which nothing was done, and whose key stays free.
    """

    what: str
    code: str | None = None
    wallet_id: UUID | None = None
    index: int | None = None


DONE: Final = "done"
REFUSED: Final = "refused"
ABSENT: Final = "absent"
NOT_TO_GIVE: Final = "not to give"
CARRIED_OUT: Final = Verdict(DONE)


@dataclass(slots=True)
class Ownership:
    """What the wallets are, by their ids, in the order in which they were opened."""

    purses: dict[UUID, Purse] = field(default_factory=dict)

    def expects(self, sender: Sender, commands: Sequence[Command]) -> tuple[Verdict, Purses]:
        """Return what the commands of *sender*, all or none, come to, and the wallets then.

        Those that are opened are not among these: the ledger gives them their ids.
        """
        after = dict(self.purses)
        for index, command in enumerate(commands):
            place = index if len(commands) > 1 else None
            verdict = _carry_out(sender, command, after)
            if verdict is not None:
                return replace(verdict, index=None if verdict.what == REFUSED else place), self.purses
        return CARRIED_OUT, after

    def is_anothers(self, sender: Sender, wallet_id: UUID) -> bool:
        """Tell whether the wallet is one that *sender* may not use."""
        purse = self.purses.get(wallet_id)
        return purse is not None and not sender.acts_for(purse.tenant_id, purse.owner)


def taken_from(command: Command) -> UUID | None:
    """Return the wallet that the command takes money out of; returns None if it takes none."""
    match command:
        case WithdrawFunds(wallet_id=wallet_id) | TransferFunds(source_wallet_id=wallet_id):
            return wallet_id
        case _:
            return None


def _carry_out(sender: Sender, command: Command, after: dict[UUID, Purse]) -> Verdict | None:
    """Do to *after* what *command* does; returns why not, None where it does."""
    match command:
        case OpenWallet(owner_id=owner):
            return None if sender.acts_for(sender.tenant_id, owner) else Verdict(NOT_TO_GIVE)
        case DepositFunds(wallet_id=payee):
            return _pay(sender, payee, command.amount_minor, command.currency, after)
        case WithdrawFunds(wallet_id=payer):
            return _take(sender, payer, command.amount_minor, command.currency, after)
        case TransferFunds(source_wallet_id=payer, destination_wallet_id=payee):
            return (
                _absent_own(sender, payer, after)
                or _absent_payee(sender, payee, after)
                or _take(sender, payer, command.amount_minor, command.currency, after)
                or _pay(sender, payee, command.amount_minor, command.currency, after)
            )
        case FreezeWallet(wallet_id=wallet_id) | UnfreezeWallet(wallet_id=wallet_id) | CloseWallet(wallet_id=wallet_id):
            return _absent_own(sender, wallet_id, after) or _change(command, wallet_id, after)
        case _:
            raise AssertionError(command)


def _absent_own(sender: Sender, wallet_id: UUID, after: Purses) -> Verdict | None:
    purse = after.get(wallet_id)
    is_own = purse is not None and sender.acts_for(purse.tenant_id, purse.owner)
    return None if is_own else Verdict(ABSENT, wallet_id=wallet_id)


def _absent_payee(sender: Sender, payee: UUID, after: Purses) -> Verdict | None:
    is_there = payee in after and after[payee].tenant_id == sender.tenant_id
    return None if is_there else Verdict(ABSENT, wallet_id=payee)


def _take(sender: Sender, payer: UUID, minor: int, currency: str, after: dict[UUID, Purse]) -> Verdict | None:
    absent = _absent_own(sender, payer, after)
    if absent is not None:
        return absent
    purse = after[payer]
    if purse.is_closed:
        return Verdict(REFUSED, "wallet_closed")
    if purse.restrictions:
        return Verdict(REFUSED, "wallet_frozen")
    if purse.currency != currency:
        return Verdict(REFUSED, "currency_mismatch")
    if purse.minor < minor:
        return Verdict(REFUSED, "insufficient_funds")
    after[payer] = replace(purse, minor=purse.minor - minor)
    return None


def _pay(sender: Sender, payee: UUID, minor: int, currency: str, after: dict[UUID, Purse]) -> Verdict | None:
    absent = _absent_payee(sender, payee, after)
    if absent is not None:
        return absent
    purse = after[payee]
    why = None
    if purse.is_closed:
        why = "wallet_closed"
    elif any(scope == "all" for _, scope in purse.restrictions):
        why = "wallet_frozen"
    elif purse.currency != currency:
        why = "currency_mismatch"
    if why is not None:
        return Verdict(REFUSED, why if sender.acts_for(purse.tenant_id, purse.owner) else "payee_refuses")
    after[payee] = replace(purse, minor=purse.minor + minor)
    return None


def _change(command: Command, wallet_id: UUID, after: dict[UUID, Purse]) -> Verdict | None:
    """Freeze, unfreeze or close a wallet that is the sender's to use."""
    purse = after[wallet_id]
    if purse.is_closed:
        return Verdict(REFUSED, "wallet_closed")
    match command:
        case FreezeWallet(source=source, scope=scope):
            others = {each for each in purse.restrictions if each[0] != source}
            after[wallet_id] = replace(purse, restrictions=frozenset(others | {(source, scope)}))
        case UnfreezeWallet(source=source):
            left = frozenset(each for each in purse.restrictions if each[0] != source)
            if left == purse.restrictions:
                return Verdict(REFUSED, "wallet_not_frozen")
            after[wallet_id] = replace(purse, restrictions=left)
        case _:
            if purse.minor != 0:
                return Verdict(REFUSED, "wallet_not_empty")
            after[wallet_id] = replace(purse, is_closed=True)
    return None
