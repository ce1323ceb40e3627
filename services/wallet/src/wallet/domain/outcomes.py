"""What a decision can be: a closed set. `Accepted` carries everything that happened."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from contracts.scopes import Kind
from wallet.domain.facts import AnyFact, RowFact
from wallet.domain.rows import RowName, StateRow, UsageChange
from wallet.domain.texts import FreeText
from wallet.domain.wallets import RestrictionScope, Wallet


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The command is carried out by *facts*, in their order.

    *resource_id* is that of what was made, None if nothing was; *transaction_id* is that of the ledger transaction
    whose entries are among the facts, and sum to zero per currency. *text* is the free text of all of it.
    *row_facts* happen to rows besides wallets. *states* are rows of kinds without events, as they are from now on;
    *usages* are what is counted under limits afterwards, which no event tells.
    """

    facts: tuple[AnyFact, ...]
    resource_id: UUID | None = None
    transaction_id: UUID | None = None
    text: FreeText | None = None
    row_facts: tuple[RowFact, ...] = ()
    usages: tuple[UsageChange, ...] = ()
    states: tuple[StateRow, ...] = ()


class RefusalCode(StrEnum):
    """Which rule refuses a command. The values are published: clients act on them."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    WALLET_FROZEN = "wallet_frozen"
    WALLET_CLOSED = "wallet_closed"
    WALLET_NOT_EMPTY = "wallet_not_empty"
    WALLET_NOT_FROZEN = "wallet_not_frozen"
    DECISION_SUPERSEDED = "decision_superseded"
    CURRENCY_MISMATCH = "currency_mismatch"
    BALANCE_OVERFLOW = "balance_overflow"
    PAYEE_REFUSES = "payee_refuses"
    HOLD_SETTLED = "hold_settled"
    HOLD_EXPIRED = "hold_expired"
    HOLD_NOT_DUE = "hold_not_due"
    HOLD_EXPIRY_OUT_OF_RANGE = "hold_expiry_out_of_range"
    CAPTURE_EXCEEDS_HOLD = "capture_exceeds_hold"
    INCREASE_LIMIT_REACHED = "increase_limit_reached"
    CAPTURE_LIMIT_REACHED = "capture_limit_reached"
    SAME_WALLET = "same_wallet"
    DISTRIBUTION_MISMATCH = "distribution_mismatch"
    SHARE_TOO_SMALL = "share_too_small"
    FEE_EXCEEDS_AMOUNT = "fee_exceeds_amount"
    TRANSACTION_NOT_REFUNDABLE = "transaction_not_refundable"
    TRANSACTION_REVERSED = "transaction_reversed"
    REFUND_EXCEEDS_TRANSACTION = "refund_exceeds_transaction"
    REFUND_LIMIT_REACHED = "refund_limit_reached"
    POLICY_VERSION_CONFLICT = "policy_version_conflict"
    UNKNOWN_TIER = "unknown_tier"
    LIMIT_EXCEEDED = "limit_exceeded"
    OVERDRAFT_IN_USE = "overdraft_in_use"
    QUOTE_EXPIRED = "quote_expired"
    QUOTE_USED = "quote_used"
    PAIR_NOT_OFFERED = "pair_not_offered"
    QUOTE_AMOUNT_OUT_OF_RANGE = "quote_amount_out_of_range"


WALLET: Final = "wallet"
"""The kind of subject that a wallet is; any other is the name of its RowKind."""


class Subject(msgspec.Struct, frozen=True):
    """The one row that stands in a command's way."""

    kind: str
    id: UUID


class Amount(msgspec.Struct, frozen=True):
    """An amount of money among the facts of a refusal."""

    minor: int
    currency: str


class RestrictedBy(msgspec.Struct, frozen=True):
    """A restriction among the facts of a refusal, without its reason, which may be personal."""

    source: str
    scope: RestrictionScope


FactValue = Amount | str | int | tuple[RestrictedBy, ...]


class Rejected(msgspec.Struct, frozen=True):
    """A rule refuses the command: *code* tells which, *subject* for what, *facts* by name what its sender may act on.

    *code* is a RefusalCode's value, or that of a capability which brings its own.
    """

    code: str
    subject: Subject
    facts: Mapping[str, FactValue]


class Missing(msgspec.Struct, frozen=True):
    """The command names something that does not exist for its tenant."""

    kind: str
    id: UUID


class NotPermitted(msgspec.Struct, frozen=True):
    """The command is not its sender's to give, whatever is in the ledger; *detail* is a sentence for the sender.

    *kind* is the sender's.
    """

    detail: str
    kind: Kind


class NotNow(msgspec.Struct, frozen=True):
    """What the command needs of the world is not there now, as *code* says; *detail* is a sentence for the sender."""

    code: str
    detail: str


class Unnamed(msgspec.Struct, frozen=True):
    """The rule needs a row that was not read: it is to be read, and the command decided again."""

    name: RowName


Undone = Missing | NotPermitted | NotNow
"""Nothing was done, and nothing is stored: the key stays free."""
Decision = Accepted | Rejected | Undone | Unnamed


def missing_wallet(wallet_id: UUID) -> Missing:
    """Return that there is no such wallet."""
    return Missing(WALLET, wallet_id)


def rejected(code: RefusalCode, wallet: Wallet, **facts: FactValue) -> Rejected:
    """Return that a rule refuses for *wallet*."""
    return Rejected(code, Subject(WALLET, wallet.id), facts)


def available(wallet: Wallet) -> Amount:
    """Return what can be spent of *wallet*, before any overdraft."""
    return Amount(wallet.available_minor, wallet.currency)
