"""What a wallet is called: its label and its metadata, which no rule looks at."""

from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from contracts import events
from contracts.event_types import EventType
from contracts.events import Private
from wallet.domain.commands import Context
from wallet.domain.facts import Fact, JournalEvent, Transaction, balance_of, body_of
from wallet.domain.outcomes import Accepted, Decision
from wallet.domain.rows import Rows
from wallet.domain.texts import NO_TEXT, FreeText, read_text, stored_text
from wallet.domain.wallet_commands import WalletCommand
from wallet.domain.wallets import Wallet


class DetailsChanged(Fact, frozen=True, kw_only=True):
    """The wallet's free text is *private* from now on, as the row keeps it."""

    event: ClassVar[EventType] = events.DETAILS_CHANGED
    keeps_text: ClassVar[bool] = True
    private: bytes | None = None

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with its new text."""
        assert wallet is not None
        last_at = max(at, wallet.last_at)
        return msgspec.structs.replace(wallet, private=self.private, version=wallet.version + 1, last_at=last_at)

    def keeping(self, stored: bytes | None) -> "Fact":
        """Return the fact with the free text that the wallet's row keeps."""
        return msgspec.structs.replace(self, private=stored)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.DetailsChanged(
            wallet_id=str(wallet.id), owner_id=wallet.owner_id, balance=balance_of(wallet), private=private
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        return cls(event.account_id, private=stored_text(body_of(event, events.DetailsChanged).private))


class ChangeDetails(WalletCommand, frozen=True):
    """Set a wallet's label and its metadata: None takes it away, what is left out stays."""

    kind: ClassVar[str] = "change_details"
    label: str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a closed wallet, else describe it."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        before = read_text(wallet.private) or NO_TEXT
        label = before.label if self.label is UNSET else self.label
        metadata = before.metadata if self.metadata is UNSET else self.metadata
        text = None if label is None and metadata is None else FreeText(label=label, metadata=metadata)
        return Accepted((DetailsChanged(wallet.id),), text=text)
