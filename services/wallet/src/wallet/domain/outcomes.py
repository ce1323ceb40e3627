"""What a decision can be: a closed set. `Accepted` carries everything that is to be written."""

from enum import StrEnum
from uuid import UUID

import msgspec

from wallet.domain.wallets import Wallet


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


class Reason(StrEnum):
    """Why a rule refuses a command. The values are problem codes."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    WALLET_FROZEN = "wallet_frozen"
    WALLET_CLOSED = "wallet_closed"
    WALLET_NOT_EMPTY = "wallet_not_empty"
    WALLET_NOT_FROZEN = "wallet_not_frozen"
    DECISION_SUPERSEDED = "decision_superseded"
    CURRENCY_MISMATCH = "currency_mismatch"
    BALANCE_OVERFLOW = "balance_overflow"


class Rejected(msgspec.Struct, frozen=True):
    """A rule refuses the command; *wallet* is the one that stands in its way, as it is."""

    reason: Reason
    wallet: Wallet


class Missing(msgspec.Struct, frozen=True):
    """The command names a wallet that does not exist for its tenant."""

    wallet_id: UUID


Decision = Posted | StateChanged | Rejected | Missing
