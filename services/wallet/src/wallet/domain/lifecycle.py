"""Wallets are opened and closed."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventType
from contracts.events import Private
from contracts.money import money, parse_signed_minor
from wallet.domain.commands import Command, Context
from wallet.domain.facts import Fact, JournalEvent, Transaction, balance_of, body_of
from wallet.domain.outcomes import (
    Accepted,
    Amount,
    Decision,
    NotPermitted,
    RefusalCode,
    available,
    rejected,
)
from wallet.domain.rows import RowName, Rows
from wallet.domain.texts import FreeText, stored_text
from wallet.domain.wallet_commands import WalletCommand
from wallet.domain.wallets import Wallet, WalletStatus


class WalletOpened(Fact, frozen=True, kw_only=True):
    """A wallet exists from now on, with nothing in it. *private* is its free text as the row keeps it."""

    event: ClassVar[EventType] = events.OPENED
    opens: ClassVar[bool] = True
    keeps_text: ClassVar[bool] = True
    tenant_id: UUID
    owner_id: str
    currency: str
    overdraft_limit_minor: int = 0
    private: bytes | None = None

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the new wallet."""
        assert wallet is None
        return Wallet(
            id=self.wallet_id,
            tenant_id=self.tenant_id,
            owner_id=self.owner_id,
            currency=self.currency,
            status=WalletStatus.OPEN,
            restrictions=(),
            posted_minor=0,
            held_minor=0,
            overdraft_limit_minor=self.overdraft_limit_minor,
            version=1,
            opened_at=at,
            last_at=at,
            private=self.private,
            operator_version=0,
        )

    def keeping(self, stored: bytes | None) -> "Fact":
        """Return the fact with the free text that the wallet's row keeps."""
        return msgspec.structs.replace(self, private=stored)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.WalletOpened(
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            currency=wallet.currency,
            overdraft_limit=money(wallet.overdraft_limit_minor, wallet.currency),
            balance=balance_of(wallet),
            private=private,
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.WalletOpened)
        return cls(
            event.account_id,
            tenant_id=event.tenant_id,
            owner_id=body.owner_id,
            currency=event.currency,
            overdraft_limit_minor=parse_signed_minor(body.overdraft_limit),
            private=stored_text(body.private),
        )


class WalletClosed(Fact, frozen=True):
    """The wallet, empty, is closed for good."""

    event: ClassVar[EventType] = events.CLOSED

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet, closed."""
        assert wallet is not None
        return wallet.closed(at)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.WalletClosed(
            wallet_id=str(wallet.id), owner_id=wallet.owner_id, balance=balance_of(wallet), private=private
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        return cls(event.account_id)


class OpenWallet(Command, frozen=True):
    """Open a wallet, in the shard of its *placement* group: the owner's, unless another is named.

    It may go *overdraft_limit_minor* below zero.
    """

    kind: ClassVar[str] = "open_wallet"
    owner_id: str
    currency: str
    text: FreeText | None = None
    placement: str | None = None
    overdraft_limit_minor: int = 0

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return nothing: the wallet is yet to be."""
        del known
        return ()

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Open it, unless the mandate does not cover the owner: no rule refuses."""
        del rows
        if not context.mandate.covers(self.owner_id):
            return NotPermitted("The credentials do not act for this owner.", context.mandate.kind)
        tenant_id = context.mandate.tenant_id
        wallet_id = context.ids.placed(tenant_id, self.owner_id if self.placement is None else self.placement)
        return Accepted(
            (
                WalletOpened(
                    wallet_id,
                    tenant_id=tenant_id,
                    owner_id=self.owner_id,
                    currency=self.currency,
                    overdraft_limit_minor=self.overdraft_limit_minor,
                ),
            ),
            resource_id=wallet_id,
            text=self.text,
        )


class CloseWallet(WalletCommand, frozen=True):
    """Close an empty wallet for good."""

    kind: ClassVar[str] = "close"

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse while there is something in it, else close it."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        if wallet.posted_minor != 0 or wallet.held_minor != 0:
            held = Amount(wallet.held_minor, wallet.currency)
            return rejected(RefusalCode.WALLET_NOT_EMPTY, wallet, available=available(wallet), held=held)
        return Accepted((WalletClosed(wallet.id),))
