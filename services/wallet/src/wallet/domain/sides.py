"""What the rules say of each side of an operation that moves money, asked in one order everywhere.

A wallet that is closed, restricted or of another currency refuses first, then a limit, the fee, the funds and the
bound of a balance. The payer is asked before the payees.
"""

from typing import Final

import msgspec

from contracts.money import BALANCE_MINOR_MAX
from wallet.domain.commands import Context
from wallet.domain.fees import Fee, Use, payees_fee, payers_fee
from wallet.domain.limiting import count_debit, count_deposit, refuse_balance
from wallet.domain.mandate import Mandate
from wallet.domain.outcomes import Amount, RefusalCode, Rejected, RestrictedBy, available, rejected
from wallet.domain.rows import Rows, UsageChange
from wallet.domain.wallets import Wallet, WalletStatus


class Side(msgspec.Struct, frozen=True, gc=False):
    """One side of an operation: why it is refused, or the fee that it bears and what is counted of it."""

    refusal: Rejected | None
    fee: Fee | None = None
    usages: tuple[UsageChange, ...] = ()


_FREE: Final = Side(None)
"""A side that bears no fee, and of which nothing is counted."""


def payers_side(use: Use, amount_minor: int, currency: str, rows: Rows, context: Context) -> Side:
    """Return what the rules say of the payer, who spends the amount and bears what its fee rule says."""
    if _has_no_terms(use.tiered, context):
        refusal = refuse_debit(use.tiered, amount_minor, currency, context.mandate)
        return _FREE if refusal is None else Side(refusal)
    fee = payers_fee(use, amount_minor, rows, context)
    return debit_side(use, amount_minor, fee, rows, context, currency=currency)


def debit_side(use: Use, amount_minor: int, fee: Fee | None, rows: Rows, context: Context, *, currency: str) -> Side:
    """Return what the rules say of the payer, who spends the amount and bears the *fee*."""
    count = count_debit(use.tiered, use.limited_as, amount_minor, rows, context)
    refusal = refuse_debit(use.tiered, amount_minor, currency, context.mandate, fee, limit=count.refusal)
    return Side(refusal, fee, count.usages)


def payees_side(use: Use, payee: Wallet, amount_minor: int, rows: Rows, context: Context) -> Side:
    """Return what the rules say of the *payee*, who receives the amount and bears what its fee rule says."""
    if _has_no_terms(payee, context):
        refusal = refuse_credit(payee, amount_minor, use.payees_currency, context.mandate)
        return _FREE if refusal is None else Side(refusal)
    fee = payees_fee(use, amount_minor, rows, context)
    full = refuse_balance(payee, amount_minor, rows, context)
    return Side(refuse_credit(payee, amount_minor, use.payees_currency, context.mandate, fee, limit=full), fee)


def depositors_side(use: Use, amount_minor: int, rows: Rows, context: Context) -> Side:
    """Return what the rules say of the wallet that money comes into from outside, under limits on deposits too."""
    fee = payees_fee(use, amount_minor, rows, context)
    count = count_deposit(use.tiered, amount_minor, rows, context)
    refusal = refuse_credit(use.tiered, amount_minor, use.payees_currency, context.mandate, fee, limit=count.refusal)
    return Side(refusal, fee, count.usages)


def _has_no_terms(wallet: Wallet, context: Context) -> bool:
    """Return whether neither a fee nor a limit can concern the wallet: nearly everybody, and nearly always."""
    policy = context.policy.policy
    return not (policy.fees or policy.tiers or wallet.usage or wallet.terms)


def refuse_debit(
    payer: Wallet,
    amount_minor: int,
    currency: str,
    mandate: Mandate,
    fee: Fee | None = None,
    *,
    limit: Rejected | None = None,
) -> Rejected | None:
    """Return why *payer* may not spend the amount and the *fee* that it bears, or None; *limit* is what limits say."""
    refusal = _refuse_use(payer, currency, mandate, is_restricted=bool(payer.restrictions)) or limit
    if refusal is not None:
        return refusal
    required_minor = amount_minor if fee is None else amount_minor + fee.amount_minor
    if required_minor > payer.spendable_minor:
        return _too_little(payer, required_minor, fee)
    if payer.posted_minor - required_minor < -BALANCE_MINOR_MAX:
        return rejected(RefusalCode.BALANCE_OVERFLOW, payer)
    return None


def _refuse_use(wallet: Wallet, currency: str, mandate: Mandate, *, is_restricted: bool) -> Rejected | None:
    """Return why the wallet takes part in nothing in *currency*, or None."""
    if wallet.status == WalletStatus.CLOSED:
        return rejected(RefusalCode.WALLET_CLOSED, wallet)
    if is_restricted:
        return _frozen(wallet, mandate)
    if wallet.currency != currency:
        return rejected(RefusalCode.CURRENCY_MISMATCH, wallet, currency=wallet.currency)
    return None


def _too_little(payer: Wallet, required_minor: int, fee: Fee | None) -> Rejected:
    if fee is None:
        return rejected(RefusalCode.INSUFFICIENT_FUNDS, payer, available=available(payer))
    required, of_it = Amount(required_minor, payer.currency), Amount(fee.amount_minor, payer.currency)
    return rejected(RefusalCode.INSUFFICIENT_FUNDS, payer, available=available(payer), required=required, fee=of_it)


def refuse_credit(
    payee: Wallet,
    amount_minor: int,
    currency: str,
    mandate: Mandate,
    fee: Fee | None = None,
    *,
    limit: Rejected | None = None,
) -> Rejected | None:
    """Return why *payee* may not receive the amount, of which it bears the *fee*, or None; *limit* is what limits say.

    Whom the *mandate* does not let see the wallet learns that it refuses, and not why.
    """
    refusal = _refuse_credit(payee, amount_minor, currency, mandate, fee, limit=limit)
    if refusal is not None and not mandate.covers(payee.owner_id):
        return rejected(RefusalCode.PAYEE_REFUSES, payee)
    return refusal


def _refuse_credit(
    payee: Wallet, amount_minor: int, currency: str, mandate: Mandate, fee: Fee | None, *, limit: Rejected | None
) -> Rejected | None:
    is_restricted = bool(payee.restrictions) and payee.refuses_credits
    refusal = _refuse_use(payee, currency, mandate, is_restricted=is_restricted) or limit
    if refusal is not None:
        return refusal
    if fee is not None and fee.amount_minor > amount_minor:
        return rejected(RefusalCode.FEE_EXCEEDS_AMOUNT, payee, fee=Amount(fee.amount_minor, payee.currency))
    if payee.posted_minor + amount_minor > BALANCE_MINOR_MAX:
        return rejected(RefusalCode.BALANCE_OVERFLOW, payee)
    return None


def _frozen(wallet: Wallet, mandate: Mandate) -> Rejected:
    """Return that the wallet is restricted; by whom is for staff to know."""
    if not mandate.sees_restrictions:
        return rejected(RefusalCode.WALLET_FROZEN, wallet)
    return rejected(RefusalCode.WALLET_FROZEN, wallet, restrictions=_in_force(wallet))


def _in_force(wallet: Wallet) -> tuple[RestrictedBy, ...]:
    return tuple(RestrictedBy(restriction.source, restriction.scope) for restriction in wallet.restrictions)
