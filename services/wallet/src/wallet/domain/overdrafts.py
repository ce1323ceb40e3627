"""Credit lines: how far below zero a wallet may go."""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts import events
from contracts.event_types import EventType
from contracts.events import Private
from contracts.money import money, parse_signed_minor
from wallet.domain.commands import Context
from wallet.domain.facts import Fact, JournalEvent, Transaction, balance_of, body_of
from wallet.domain.outcomes import Accepted, Amount, Decision, RefusalCode, rejected
from wallet.domain.rows import Rows
from wallet.domain.texts import FreeText
from wallet.domain.wallet_commands import WalletCommand
from wallet.domain.wallets import Wallet


class OverdraftChanged(Fact, frozen=True, kw_only=True):
    """The wallet may go *limit_minor* below zero from now on, no longer *limit_before_minor*."""

    event: ClassVar[EventType] = events.OVERDRAFT_CHANGED
    limit_minor: int
    limit_before_minor: int

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with its new floor, which is waived no longer where the wallet keeps it."""
        assert wallet is not None
        return msgspec.structs.replace(
            wallet,
            overdraft_limit_minor=self.limit_minor,
            floor_waived=wallet.floor_waived and wallet.available_minor < -self.limit_minor,
            version=wallet.version + 1,
            last_at=max(at, wallet.last_at),
        )

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.OverdraftChanged(
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            limit=money(self.limit_minor, wallet.currency),
            limit_before=money(self.limit_before_minor, wallet.currency),
            balance=balance_of(wallet),
            private=private,
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.OverdraftChanged)
        limit_minor, before_minor = parse_signed_minor(body.limit), parse_signed_minor(body.limit_before)
        return cls(event.account_id, limit_minor=limit_minor, limit_before_minor=before_minor)


class ChangeOverdraft(WalletCommand, frozen=True):
    """Let a wallet go *limit_minor* below zero."""

    kind: ClassVar[str] = "change_overdraft"
    limit_minor: int
    currency: str
    reason: str

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a line that is less than what is in use of it, else set it."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        if wallet.currency != self.currency:
            return rejected(RefusalCode.CURRENCY_MISMATCH, wallet, currency=wallet.currency)
        used_minor = max(0, -wallet.available_minor)
        if self.limit_minor < used_minor:
            return rejected(RefusalCode.OVERDRAFT_IN_USE, wallet, used=Amount(used_minor, wallet.currency))
        changed = OverdraftChanged(
            wallet.id, limit_minor=self.limit_minor, limit_before_minor=wallet.overdraft_limit_minor
        )
        return Accepted((changed,), text=FreeText(reason=self.reason))
