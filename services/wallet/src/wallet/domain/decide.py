"""`decide`: from a command and the rows it names to what is to be written, or why not. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from wallet.domain.commands import (
    CloseWallet,
    Command,
    DepositFunds,
    FreezeWallet,
    OpenWallet,
    TransferFunds,
    UnfreezeWallet,
    WithdrawFunds,
)
from wallet.domain.outcomes import (
    Accepted,
    Amount,
    Decision,
    Fact,
    FactValue,
    Missing,
    Posted,
    RefusalCode,
    Rejected,
    RestrictedBy,
    StateChanged,
    Subject,
    SubjectKind,
    SystemLeg,
    WalletLeg,
)
from wallet.domain.wallets import Restriction, Wallet, WalletStatus

BALANCE_MINOR_MAX: Final = 9 * 10**18
"""No balance goes beyond this, either way."""

Wallets = Mapping[UUID, Wallet]


def decide(  # noqa: PLR0911 - one arm for each command reads best as one return each
    command: Command, wallets: Wallets, *, tenant_id: UUID, now: datetime
) -> Decision:
    """Return what *command* of *tenant_id* does to *wallets* at *now*, or why it is refused.

    *wallets* holds every wallet the command names that exists; one of another tenant is as good as missing. A wallet
    whose newest event is later than *now* keeps its own time.
    """
    match command:
        case TransferFunds():
            return _transfer(command, wallets, tenant_id, now)
        case DepositFunds():
            return _deposit(command, wallets, tenant_id, now)
        case WithdrawFunds():
            return _withdraw(command, wallets, tenant_id, now)
        case OpenWallet():
            return _open(command, tenant_id, now)
        case FreezeWallet():
            return _freeze(command, wallets, tenant_id, now)
        case UnfreezeWallet():
            return _unfreeze(command, wallets, tenant_id, now)
        case CloseWallet():
            return _close(command, wallets, tenant_id, now)
        case _:
            assert_never(command)


def changed_wallets(accepted: Accepted) -> tuple[Wallet, ...]:
    """Return the wallets that *accepted* changes, as they are afterwards."""
    if isinstance(accepted, Posted):
        return tuple([leg.wallet for leg in accepted.legs if isinstance(leg, WalletLeg)])
    return (accepted.wallet,)


def external_account(currency: str) -> str:
    """Return the system account for money outside the platform."""
    return f"external:{currency}"


def _own(wallets: Wallets, wallet_id: UUID, tenant_id: UUID) -> Wallet | None:
    wallet = wallets.get(wallet_id)
    return wallet if wallet is not None and wallet.tenant_id == tenant_id else None


def _rejected(code: RefusalCode, wallet: Wallet, **facts: FactValue) -> Rejected:
    return Rejected(code, Subject(SubjectKind.WALLET, wallet.id), facts)


def _available(wallet: Wallet) -> Amount:
    return Amount(wallet.available_minor, wallet.currency)


def _in_force(wallet: Wallet) -> tuple[RestrictedBy, ...]:
    return tuple(RestrictedBy(restriction.source, restriction.scope) for restriction in wallet.restrictions)


def _refuse_debit(payer: Wallet, amount_minor: int, currency: str) -> Rejected | None:
    if payer.status == WalletStatus.CLOSED:
        return _rejected(RefusalCode.WALLET_CLOSED, payer)
    if payer.restrictions:
        return _rejected(RefusalCode.WALLET_FROZEN, payer, restrictions=_in_force(payer))
    if payer.currency != currency:
        return _rejected(RefusalCode.CURRENCY_MISMATCH, payer, currency=payer.currency)
    if amount_minor > payer.spendable_minor:
        return _rejected(RefusalCode.INSUFFICIENT_FUNDS, payer, available=_available(payer))
    if payer.posted_minor - amount_minor < -BALANCE_MINOR_MAX:
        return _rejected(RefusalCode.BALANCE_OVERFLOW, payer)
    return None


def _refuse_credit(payee: Wallet, amount_minor: int, currency: str) -> Rejected | None:
    if payee.status == WalletStatus.CLOSED:
        return _rejected(RefusalCode.WALLET_CLOSED, payee)
    if payee.restrictions and payee.refuses_credits:
        return _rejected(RefusalCode.WALLET_FROZEN, payee, restrictions=_in_force(payee))
    if payee.currency != currency:
        return _rejected(RefusalCode.CURRENCY_MISMATCH, payee, currency=payee.currency)
    if payee.posted_minor + amount_minor > BALANCE_MINOR_MAX:
        return _rejected(RefusalCode.BALANCE_OVERFLOW, payee)
    return None


def _transfer(command: TransferFunds, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    payer = _own(wallets, command.source_wallet_id, tenant_id)
    if payer is None:
        return Missing(SubjectKind.WALLET, command.source_wallet_id)
    payee = _own(wallets, command.destination_wallet_id, tenant_id)
    if payee is None:
        return Missing(SubjectKind.WALLET, command.destination_wallet_id)
    assert payer.id != payee.id, "the edge refuses a transfer to oneself"
    amount_minor, currency = command.amount_minor, command.currency
    refusal = _refuse_debit(payer, amount_minor, currency) or _refuse_credit(payee, amount_minor, currency)
    if refusal is not None:
        return refusal
    payer, payee = payer.with_posted(-amount_minor, now), payee.with_posted(amount_minor, now)
    return Posted(
        (
            WalletLeg(Fact.SENT, payer, -amount_minor, payee),
            WalletLeg(Fact.RECEIVED, payee, amount_minor, payer),
        ),
    )


def _deposit(command: DepositFunds, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    payee = _own(wallets, command.wallet_id, tenant_id)
    if payee is None:
        return Missing(SubjectKind.WALLET, command.wallet_id)
    refusal = _refuse_credit(payee, command.amount_minor, command.currency)
    if refusal is not None:
        return refusal
    return _post_with_outside(payee, Fact.DEPOSITED, command.amount_minor, now)


def _withdraw(command: WithdrawFunds, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    payer = _own(wallets, command.wallet_id, tenant_id)
    if payer is None:
        return Missing(SubjectKind.WALLET, command.wallet_id)
    refusal = _refuse_debit(payer, command.amount_minor, command.currency)
    if refusal is not None:
        return refusal
    return _post_with_outside(payer, Fact.WITHDRAWN, -command.amount_minor, now)


def _post_with_outside(wallet: Wallet, fact: Fact, delta_minor: int, now: datetime) -> Posted:
    outside = external_account(wallet.currency)
    wallet = wallet.with_posted(delta_minor, now)
    return Posted((WalletLeg(fact, wallet, delta_minor, outside), SystemLeg(outside, -delta_minor, wallet)))


def _open(command: OpenWallet, tenant_id: UUID, now: datetime) -> Decision:
    wallet = Wallet(
        id=command.wallet_id,
        tenant_id=tenant_id,
        owner_id=command.owner_id,
        currency=command.currency,
        status=WalletStatus.OPEN,
        restrictions=(),
        posted_minor=0,
        held_minor=0,
        overdraft_limit_minor=0,
        version=1,
        opened_at=now,
        last_at=now,
        private=None,
        operator_version=0,
    )
    return StateChanged(Fact.OPENED, wallet)


def _freeze(command: FreezeWallet, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    wallet = _own(wallets, command.wallet_id, tenant_id)
    if wallet is None:
        return Missing(SubjectKind.WALLET, command.wallet_id)
    if wallet.is_closed:
        return _rejected(RefusalCode.WALLET_CLOSED, wallet)
    judged_version = command.judged_version
    if judged_version is not None and judged_version < wallet.operator_version:
        return _rejected(RefusalCode.DECISION_SUPERSEDED, wallet)
    others = tuple(restriction for restriction in wallet.restrictions if restriction.source != command.source)
    restriction = Restriction(command.source, command.scope, command.reason)
    wallet = wallet.with_restrictions((*others, restriction), now, is_operators=judged_version is None)
    return StateChanged(Fact.RESTRICTED, wallet, command.source, command.scope, command.reason)


def _unfreeze(command: UnfreezeWallet, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    wallet = _own(wallets, command.wallet_id, tenant_id)
    if wallet is None:
        return Missing(SubjectKind.WALLET, command.wallet_id)
    if wallet.is_closed:
        return _rejected(RefusalCode.WALLET_CLOSED, wallet)
    lifted = wallet.restricted_by(command.source)
    if lifted is None:
        return _rejected(RefusalCode.WALLET_NOT_FROZEN, wallet)
    others = tuple(restriction for restriction in wallet.restrictions if restriction is not lifted)
    wallet = wallet.with_restrictions(others, now, is_operators=True)
    return StateChanged(Fact.UNRESTRICTED, wallet, command.source, lifted.scope, command.reason)


def _close(command: CloseWallet, wallets: Wallets, tenant_id: UUID, now: datetime) -> Decision:
    wallet = _own(wallets, command.wallet_id, tenant_id)
    if wallet is None:
        return Missing(SubjectKind.WALLET, command.wallet_id)
    if wallet.is_closed:
        return _rejected(RefusalCode.WALLET_CLOSED, wallet)
    if wallet.posted_minor != 0 or wallet.held_minor != 0:
        held = Amount(wallet.held_minor, wallet.currency)
        return _rejected(RefusalCode.WALLET_NOT_EMPTY, wallet, available=_available(wallet), held=held)
    return StateChanged(Fact.CLOSED, wallet.closed(now))
