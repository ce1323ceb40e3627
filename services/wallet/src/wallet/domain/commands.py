"""Commands: what somebody wants done, parsed and valid in itself. Amounts are positive minor units."""

from typing import ClassVar
from uuid import UUID

import msgspec

from wallet.domain.wallets import RestrictionScope


class Details(msgspec.Struct, frozen=True):
    """The free text that travels with a transaction. It is personal data: never a rule's business, never indexed."""

    reference: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    destination: str | None = None


class OpenWallet(msgspec.Struct, frozen=True):
    """Open a wallet under *wallet_id*, made by the shell."""

    kind: ClassVar[str] = "open_wallet"
    wallet_id: UUID
    owner_id: str
    currency: str
    label: str | None = None
    metadata: dict[str, str] | None = None


class DepositFunds(msgspec.Struct, frozen=True):
    """Take money in from `external:<currency>`."""

    kind: ClassVar[str] = "deposit"
    wallet_id: UUID
    amount_minor: int
    currency: str
    details: Details | None = None


class WithdrawFunds(msgspec.Struct, frozen=True):
    """Pay money out to `external:<currency>`."""

    kind: ClassVar[str] = "withdrawal"
    wallet_id: UUID
    amount_minor: int
    currency: str
    details: Details | None = None


class TransferFunds(msgspec.Struct, frozen=True):
    """Move money between two different wallets of one currency."""

    kind: ClassVar[str] = "transfer"
    source_wallet_id: UUID
    destination_wallet_id: UUID
    amount_minor: int
    currency: str
    details: Details | None = None


class FreezeWallet(msgspec.Struct, frozen=True):
    """Restrict a wallet in the name of *source*; a second freeze by the same source replaces its first.

    *judged_version* is None for an operator. A service names the wallet's version that it judged: where an operator has
    changed the restrictions since, the operator's word stands.
    """

    kind: ClassVar[str] = "freeze"
    wallet_id: UUID
    source: str
    scope: RestrictionScope
    reason: str
    judged_version: int | None = None


class UnfreezeWallet(msgspec.Struct, frozen=True):
    """Lift, as an operator, the restriction that *source* holds on a wallet."""

    kind: ClassVar[str] = "unfreeze"
    wallet_id: UUID
    source: str
    reason: str | None = None


class CloseWallet(msgspec.Struct, frozen=True):
    """Close an empty wallet for good."""

    kind: ClassVar[str] = "close"
    wallet_id: UUID


MoneyCommand = DepositFunds | WithdrawFunds | TransferFunds
StatusCommand = FreezeWallet | UnfreezeWallet | CloseWallet
Command = OpenWallet | MoneyCommand | StatusCommand


def wallets_named(command: Command) -> tuple[UUID, ...]:
    """Return the ids of the existing wallets that *command* reads or changes; they are locked before it is decided."""
    match command:
        case TransferFunds():
            return (command.source_wallet_id, command.destination_wallet_id)
        case OpenWallet():
            return ()
        case _:
            return (command.wallet_id,)
