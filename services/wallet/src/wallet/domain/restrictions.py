"""Wallets are restricted, and restrictions are lifted: by operators, and by services that judge."""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts import events
from contracts.event_types import EventType
from contracts.events import Private
from wallet.domain.commands import Context
from wallet.domain.facts import Fact, JournalEvent, Transaction, balance_of, body_of
from wallet.domain.outcomes import Accepted, Decision, RefusalCode, rejected
from wallet.domain.rows import Rows
from wallet.domain.texts import FreeText
from wallet.domain.wallet_commands import WalletCommand
from wallet.domain.wallets import FRAUD, Restriction, RestrictionScope, Wallet


class _RestrictionsChanged(Fact, frozen=True, kw_only=True):
    """*source* set or lifted its restriction. *is_operators*: an operator's word, which supersedes older decisions."""

    source: str
    scope: RestrictionScope
    reason: str
    is_operators: bool

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.RestrictionsChanged(
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            source=self.source,
            scope=self.scope,
            restrictions=[events.Restriction(source=r.source, scope=r.scope) for r in wallet.restrictions],
            balance=balance_of(wallet),
            private=private,
        )

    def _others(self, wallet: Wallet) -> tuple[Restriction, ...]:
        return tuple(restriction for restriction in wallet.restrictions if restriction.source != self.source)


class WalletRestricted(_RestrictionsChanged, frozen=True):
    """A restriction was set; it replaces the one of the same source."""

    event: ClassVar[EventType] = events.RESTRICTED

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet under the restriction."""
        assert wallet is not None
        restrictions = (*self._others(wallet), Restriction(self.source, self.scope, self.reason))
        return wallet.with_restrictions(restrictions, at, is_operators=self.is_operators)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.RestrictionsChanged)
        reason = "" if body.private is None else body.private.reason or ""
        return cls(
            event.account_id,
            source=body.source,
            scope=_scope(body.scope),
            reason=reason,
            is_operators=body.source != FRAUD,
        )


class WalletUnrestricted(_RestrictionsChanged, frozen=True):
    """A restriction was lifted, which operators alone do."""

    event: ClassVar[EventType] = events.UNRESTRICTED

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet without the restriction."""
        assert wallet is not None
        return wallet.with_restrictions(self._others(wallet), at, is_operators=True)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.RestrictionsChanged)
        return cls(event.account_id, source=body.source, scope=_scope(body.scope), reason="", is_operators=True)


class FreezeWallet(WalletCommand, frozen=True):
    """Restrict a wallet in the name of *source*; a second freeze by the same source replaces its first.

    *judged_version* is None for an operator. A service names the wallet's version that it judged: where an operator has
    changed the restrictions since, the operator's word stands.
    """

    kind: ClassVar[str] = "freeze"
    source: str
    scope: RestrictionScope
    reason: str
    judged_version: int | None = None

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a closed wallet, and a decision that an operator has superseded; else restrict it."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        if self.judged_version is not None and self.judged_version < wallet.operator_version:
            return rejected(RefusalCode.DECISION_SUPERSEDED, wallet)
        fact = WalletRestricted(
            wallet.id,
            source=self.source,
            scope=self.scope,
            reason=self.reason,
            is_operators=self.judged_version is None,
        )
        return Accepted((fact,), text=FreeText(reason=self.reason))


class UnfreezeWallet(WalletCommand, frozen=True):
    """Lift, as an operator, the restriction that *source* holds on a wallet."""

    kind: ClassVar[str] = "unfreeze"
    source: str
    reason: str | None = None

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse where there is no such restriction, else lift it."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        lifted = wallet.restricted_by(self.source)
        if lifted is None:
            return rejected(RefusalCode.WALLET_NOT_FROZEN, wallet)
        text = None if self.reason is None else FreeText(reason=self.reason)
        fact = WalletUnrestricted(
            wallet.id, source=self.source, scope=lifted.scope, reason=self.reason or "", is_operators=True
        )
        return Accepted((fact,), text=text)


def _scope(text: str) -> RestrictionScope:
    return "all" if text == "all" else "debits"
