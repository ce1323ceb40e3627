"""What a decision can be: a closed set. `Accepted` carries everything that is to be written."""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from wallet.domain.wallets import RestrictionScope, Wallet


class Fact(StrEnum):
    """What happened to a wallet. One event type each."""

    OPENED = "opened"
    DEPOSITED = "deposited"
    WITHDRAWN = "withdrawn"
    SENT = "sent"
    RECEIVED = "received"
    RESTRICTED = "restricted"
    UNRESTRICTED = "unrestricted"
    CLOSED = "closed"


class WalletLeg(msgspec.Struct, frozen=True, gc=False):
    """A wallet's entry of a transaction: *wallet* as it is afterwards, *amount_minor* signed, and who it dealt with."""

    fact: Fact
    wallet: Wallet
    amount_minor: int
    counterparty: "Wallet | str"


class SystemLeg(msgspec.Struct, frozen=True, gc=False):
    """A system account's entry, which balances the entry of *wallet* and stands in its stream."""

    account: str
    amount_minor: int
    wallet: Wallet


class Posted(msgspec.Struct, frozen=True, gc=False):
    """A ledger transaction: at least two legs that sum to zero per currency."""

    legs: tuple[WalletLeg | SystemLeg, ...]


class StateChanged(msgspec.Struct, frozen=True, gc=False):
    """A wallet's state changed, no money moved. *wallet* is as it is afterwards; *source* and *reason* say why."""

    fact: Fact
    wallet: Wallet
    source: str | None = None
    scope: str | None = None
    reason: str | None = None


Accepted = Posted | StateChanged


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


class SubjectKind(StrEnum):
    """What a command can name and a rule can refuse for."""

    WALLET = "wallet"


class Subject(msgspec.Struct, frozen=True):
    """The one row that stands in a command's way."""

    kind: SubjectKind
    id: UUID


class Amount(msgspec.Struct, frozen=True):
    """An amount of money among the facts of a refusal."""

    minor: int
    currency: str


class RestrictedBy(msgspec.Struct, frozen=True):
    """A restriction among the facts of a refusal, without its reason, which may be personal."""

    source: str
    scope: RestrictionScope


FactValue = Amount | str | tuple[RestrictedBy, ...]


class Rejected(msgspec.Struct, frozen=True):
    """A rule refuses the command: which, for what, and the *facts*, by name, that its sender needs to act."""

    code: RefusalCode
    subject: Subject
    facts: Mapping[str, FactValue]


class Missing(msgspec.Struct, frozen=True):
    """The command names something that does not exist for its tenant."""

    kind: SubjectKind
    id: UUID


Decision = Accepted | Rejected | Missing
