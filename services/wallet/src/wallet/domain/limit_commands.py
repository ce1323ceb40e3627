"""Wallets get limits of their own, and owners get tiers."""

from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from contracts import events
from contracts.event_types import EventDataError, EventType
from contracts.events import Private
from wallet.domain.commands import Command, Context
from wallet.domain.facts import Fact, JournalEvent, Transaction, balance_of, body_of
from wallet.domain.limits import DEFAULT_TIER, Limit, Terms
from wallet.domain.outcomes import (
    Accepted,
    Decision,
    NotPermitted,
    RefusalCode,
    Rejected,
    Subject,
    rejected,
)
from wallet.domain.owners import OWNER, OwnerChanged, owner_name, owner_of
from wallet.domain.rows import RowName, Rows, StateRow
from wallet.domain.texts import FreeText
from wallet.domain.wallet_commands import WalletCommand
from wallet.domain.wallets import Wallet


class LimitsChanged(Fact, frozen=True, kw_only=True):
    """The wallet's zone and its own limits are those of *terms* from now on."""

    event: ClassVar[EventType] = events.LIMITS_CHANGED
    terms: Terms

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        """Return the wallet with its new terms; what was counted stays."""
        assert wallet is not None
        last_at = max(at, wallet.last_at)
        return msgspec.structs.replace(wallet, terms=self.terms, version=wallet.version + 1, last_at=last_at)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del transaction
        return events.LimitsChanged(
            wallet_id=str(wallet.id),
            owner_id=wallet.owner_id,
            time_zone=self.terms.time_zone,
            limits=[msgspec.convert(each, events.Limit, from_attributes=True) for each in self.terms.limits],
            balance=balance_of(wallet),
            private=private,
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        """Return the fact that *event* tells."""
        body = body_of(event, events.LimitsChanged)
        try:
            limits = tuple(msgspec.convert(each, Limit, from_attributes=True) for each in body.limits)
        except msgspec.ValidationError as error:
            raise EventDataError(f"wallet {event.account_id}: version {event.version}: {error}") from error
        return cls(event.account_id, terms=Terms(time_zone=body.time_zone, limits=limits))


class ChangeLimits(WalletCommand, frozen=True):
    """Set a wallet's time zone, and its own limits: what is left out stays."""

    kind: ClassVar[str] = "change_limits"
    time_zone: str | UnsetType = UNSET
    limits: tuple[Limit, ...] | UnsetType = UNSET

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse limits in another currency, else set them."""
        wallet = self.found_open(rows, context)
        if not isinstance(wallet, Wallet):
            return wallet
        before = Terms() if wallet.terms is None else wallet.terms
        zone = before.time_zone if self.time_zone is UNSET else self.time_zone
        limits = before.limits if self.limits is UNSET else self.limits
        if any(limit.currency != wallet.currency for limit in limits):
            return rejected(RefusalCode.CURRENCY_MISMATCH, wallet, currency=wallet.currency)
        return Accepted((LimitsChanged(wallet.id, terms=Terms(time_zone=zone, limits=limits)),))


class ChangeTier(Command, frozen=True):
    """Make an owner one of *tier*."""

    kind: ClassVar[str] = "change_tier"
    owner_id: str
    tier: str
    reason: str

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return nothing: the owner's row, whose name has the tenant in it, is named by the rule that needs it."""
        del known
        return ()

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse a tier that the policy does not have, else set it."""
        mandate, policy = context.mandate, context.policy.policy
        if not mandate.covers(self.owner_id):
            return NotPermitted("The credentials do not act for this owner.", mandate.kind)
        name = owner_name(mandate.tenant_id, self.owner_id)
        row = rows[name]
        if self.tier != DEFAULT_TIER and self.tier not in policy.limits_by_tier:
            return Rejected(RefusalCode.UNKNOWN_TIER, Subject(OWNER.name, name.id), {"tier": self.tier})
        before = owner_of(row).tier if isinstance(row, StateRow) else DEFAULT_TIER
        changed = OwnerChanged(name.id, mandate.tenant_id, self.owner_id, self.tier, before)
        return Accepted((), row_facts=(changed,), text=FreeText(reason=self.reason))
