"""What limits refuse of a command, and what is counted under them where it is carried out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from contracts.envelope import rfc3339
from wallet.domain.commands import Context
from wallet.domain.holds import PAYMENT, amount_minor_of, hold_of
from wallet.domain.limits import (
    DEBIT,
    DEPOSIT,
    OF_OWNER,
    OF_WALLET,
    Counting,
    Excess,
    Limit,
    Operations,
    Placings,
    TierLimits,
    counted,
    given_back,
    measured,
    since,
)
from wallet.domain.outcomes import Amount, FactValue, RefusalCode, Rejected, rejected
from wallet.domain.owners import OwnerUsage, WalletUsage, owners_usage, tier_limits
from wallet.domain.policy import Policy
from wallet.domain.rows import Rows, StateRow, UsageChange
from wallet.domain.wallets import Wallet

_OPERATIONS: Final = ("withdrawal", "transfer", PAYMENT, "conversion", DEBIT, DEPOSIT)


class Count(msgspec.Struct, frozen=True, gc=False):
    """What limits say of a debit or a deposit: why they refuse it, or what is counted of it."""

    refusal: Rejected | None
    usages: tuple[UsageChange, ...] = ()


_UNLIMITED: Final = Count(None)


def count_debit(payer: Wallet, operation: str, amount_minor: int, rows: Rows, context: Context) -> Count:
    """Return what the limits on *operation*, and those on all debits, say of the amount."""
    return _count(payer, (operation, DEBIT), amount_minor, rows, context)


def count_deposit(payee: Wallet, amount_minor: int, rows: Rows, context: Context) -> Count:
    """Return what the limits on deposits say of the amount, the payee's balance included."""
    count = _count(payee, (DEPOSIT,), amount_minor, rows, context)
    return (
        count if count.refusal is not None else Count(refuse_balance(payee, amount_minor, rows, context), count.usages)
    )


def refuse_balance(payee: Wallet, amount_minor: int, rows: Rows, context: Context) -> Rejected | None:
    """Return that *payee* would have more than it may, or None."""
    if payee.terms is None and not context.policy.policy.tiers:
        return None
    limit = _on_wallet(payee, tier_limits(context.policy.policy, rows, payee), DEPOSIT)
    if limit is None or limit.balance_minor is None or payee.posted_minor + amount_minor <= limit.balance_minor:
        return None
    return _exceeded(payee, _balance(limit, limit.balance_minor, payee))


def give_back(wallet: Wallet, hold: StateRow, minor: int, rows: Rows, context: Context) -> tuple[UsageChange, ...]:
    """Return what is counted once *minor* of *hold* is released, the last of it that was placed."""
    if not wallet.usage and not context.policy.policy.counts_owners:
        return ()
    placed = _placings(hold)
    operations, currency, changes = (PAYMENT, DEBIT), wallet.currency, []
    if wallet.usage:
        usage = given_back(wallet.usage, operations, currency, placed, minor)
        if usage != wallet.usage:
            changes.append(WalletUsage(wallet.id, usage))
    if not context.policy.policy.counts_owners:
        return tuple(changes)
    before = owners_usage(rows, wallet)
    after = given_back(before, operations, currency, placed, minor)
    owners = () if after == before else (OwnerUsage(wallet.tenant_id, wallet.owner_id, after),)
    return (*changes, *owners)


def limits_in_force(wallet: Wallet, rows: Rows, policy: Policy, at: datetime) -> Sequence[Excess]:
    """Return every measure of every limit on *wallet* with what is used of it then, those that refuse first before."""
    tier, at, zone = tier_limits(policy, rows, wallet), max(at, wallet.last_at), wallet.time_zone
    owners = since(owners_usage(rows, wallet), policy.owners_counted_since) if policy.counts_owners else ()
    found: list[Excess] = []
    for limits, usage in (
        (_of_wallet(wallet, tier, _OPERATIONS), wallet.usage),
        (tier.on_each(OF_OWNER, _OPERATIONS, wallet.currency), owners),
    ):
        for limit in limits:
            if limit.once_minor is not None:
                found.append(Excess(limit, "transaction", "amount", limit.once_minor, 0, None))
            found += measured(limit, usage, zone, at)
            if limit.balance_minor is not None:
                found.append(_balance(limit, limit.balance_minor, wallet))
    return found


def _placings(row: StateRow) -> Placings:
    hold = hold_of(row)
    first_minor = amount_minor_of(row) - sum(amount_minor for _, amount_minor in hold.increases)
    return (hold.placed_at, first_minor), *hold.increases


def _count(wallet: Wallet, operations: Operations, amount_minor: int, rows: Rows, context: Context) -> Count:
    policy = context.policy.policy
    if not policy.tiers and wallet.terms is None and not wallet.usage:
        return _UNLIMITED
    tier = tier_limits(policy, rows, wallet)
    counting = Counting(amount_minor, wallet.currency, wallet.time_zone, max(context.now, wallet.last_at))
    usage = counted(wallet.usage, operations, _of_wallet(wallet, tier, operations), counting)
    if isinstance(usage, Excess):
        return Count(_exceeded(wallet, usage))
    changes: tuple[UsageChange, ...] = () if usage == wallet.usage else (WalletUsage(wallet.id, usage),)
    if not policy.counts_owners:
        return Count(None, changes)
    before = since(owners_usage(rows, wallet), policy.owners_counted_since)
    usage = counted(before, operations, tier.on_each(OF_OWNER, operations, wallet.currency), counting)
    if isinstance(usage, Excess):
        return Count(_exceeded(wallet, usage))
    owners = () if usage == before else (OwnerUsage(wallet.tenant_id, wallet.owner_id, usage),)
    return Count(None, (*changes, *owners))


def _on_wallet(wallet: Wallet, tier: TierLimits, operation: str) -> Limit | None:
    """Return the limit on *operation* of *wallet* alone: its own goes before that of its tier."""
    own = None if wallet.terms is None else wallet.terms.own(operation)
    return own or tier.on(OF_WALLET, operation, wallet.currency)


def _of_wallet(wallet: Wallet, tier: TierLimits, operations: Operations) -> Sequence[Limit]:
    if wallet.terms is None:
        return tier.on_each(OF_WALLET, operations, wallet.currency)
    limits = [_on_wallet(wallet, tier, operation) for operation in operations]
    return [limit for limit in limits if limit is not None]


def _balance(limit: Limit, most_minor: int, wallet: Wallet) -> Excess:
    return Excess(limit, "balance", "amount", most_minor, max(0, wallet.posted_minor), None)


def _exceeded(wallet: Wallet, excess: Excess) -> Rejected:
    limit = excess.limit
    facts: dict[str, FactValue] = {
        "operation": limit.operation,
        "scope": limit.scope,
        "window": excess.window,
        "measure": excess.measure,
        **{name: _told(value, excess) for name, value in _figures(excess).items()},
    }
    if excess.resets_at is not None:
        facts["resets_at"] = rfc3339(excess.resets_at)
    return rejected(RefusalCode.LIMIT_EXCEEDED, wallet, **facts)


def _figures(excess: Excess) -> Mapping[str, int]:
    return {"max": excess.highest, "used": excess.used, "remaining": excess.remaining}


def _told(value: int, excess: Excess) -> FactValue:
    return value if excess.measure == "count" else Amount(value, excess.limit.currency)
