"""Fees: entries of the transaction that they are for, from whoever bears them to `fees:<currency>`."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from wallet.domain.commands import Context
from wallet.domain.facts import About, EntryFact, SystemEntry
from wallet.domain.fee_facts import FeeCharged, HoldFeeCharged
from wallet.domain.fee_rules import PAYEE, PAYER
from wallet.domain.holds import CAPTURE, PAYMENT
from wallet.domain.owners import tier_in_force
from wallet.domain.rows import Rows
from wallet.domain.wallets import Wallet


class Fee(NamedTuple):
    """What a rule of a policy's version comes to for one amount."""

    rule_id: str
    policy_version: int
    amount_minor: int

    @property
    def about(self) -> About:
        """What its entry tells."""
        return About(fee_rule=self.rule_id, policy_version=self.policy_version)


class Use(msgspec.Struct, frozen=True, gc=False):
    """What money is moved for: an *operation* whose fees differ by the tier of *tiered*, the payer, in its currency.

    A payee gets *payee_currency* where that is another.
    """

    operation: str
    tiered: Wallet
    payee_currency: str | None = None

    @property
    def payees_currency(self) -> str:
        """What the payee gets money in."""
        return self.payee_currency or self.tiered.currency

    @property
    def limited_as(self) -> str:
        """The operation whose limits bound it: what a hold is placed for is a payment."""
        return PAYMENT if self.operation == CAPTURE else self.operation


def payers_fee(use: Use, amount_minor: int, rows: Rows, context: Context) -> Fee | None:
    """Return the fee that the payer bears for *amount_minor*, None where it is none."""
    return _find(use, PAYER, amount_minor, rows, context)


def payees_fee(use: Use, amount_minor: int, rows: Rows, context: Context) -> Fee | None:
    """Return the fee that the payee of *amount_minor* bears, None where it is none."""
    return _find(use, PAYEE, amount_minor, rows, context)


def fee_minor_of(fee: Fee | None) -> int:
    """Return what *fee* comes to."""
    return 0 if fee is None else fee.amount_minor


def fee_entries(wallet: Wallet, fee: Fee | None) -> Sequence[EntryFact | SystemEntry]:
    """Return the entries that take *fee* from *wallet*."""
    if fee is None:
        return ()
    account = fees_account(wallet.currency)
    about = msgspec.structs.replace(fee.about, forced=True) if wallet.floor_waived else fee.about
    charged = FeeCharged(wallet.id, -fee.amount_minor, 0, account, about)
    return charged, SystemEntry(wallet.id, fee.amount_minor, account)


def reserved_fee_entries(wallet: Wallet, fee: Fee | None, hold_id: UUID) -> Sequence[EntryFact | SystemEntry]:
    """Return the entries that take *fee* out of what the hold reserves of *wallet*."""
    if fee is None:
        return ()
    account, taken_minor = fees_account(wallet.currency), fee.amount_minor
    about = msgspec.structs.replace(fee.about, hold_id=str(hold_id))
    charged = HoldFeeCharged(wallet.id, -taken_minor, -taken_minor, account, about, hold_id)
    return charged, SystemEntry(wallet.id, taken_minor, account)


def increased_fee_minor(rule_id: str | None, before_minor: int, after_minor: int, context: Context) -> int:
    """Return how much more the fee is, by the rule of that id as it is now, that is reserved for a larger amount."""
    rule = next((rule for rule in context.policy.policy.fees if rule.id == rule_id), None)
    return 0 if rule is None else max(0, rule.fee_minor(after_minor) - rule.fee_minor(before_minor))


def fees_account(currency: str) -> str:
    """Return the system account for fees."""
    return f"fees:{currency}"


def _find(use: Use, bearer: str, amount_minor: int, rows: Rows, context: Context) -> Fee | None:
    policy, version = context.policy.policy, context.policy.version
    if not policy.fees:
        return None
    currency = use.payees_currency if bearer == PAYEE else use.tiered.currency
    if not policy.rules.for_use(use.operation, currency, bearer):
        return None
    tier = tier_in_force(policy, rows, use.tiered)
    rule = policy.rules.find(use.operation, currency, bearer, tier=tier, at=context.now)
    fee_minor = 0 if rule is None else rule.fee_minor(amount_minor)
    return None if rule is None or fee_minor == 0 else Fee(rule.id, version, fee_minor)
