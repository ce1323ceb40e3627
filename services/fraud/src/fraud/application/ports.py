"""What the service needs of its database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from contracts.decisions import DecisionMode, DecisionOutcome
from fraud.domain.judge import Decision
from fraud.domain.passing import Passage
from fraud.domain.profile import Profile
from fraud.domain.rules import RuleSet
from servicekit.postgres import Transaction


class RulesInForce(Protocol):
    """Where the rules of the moment come from."""

    async def rules(self, tx: Transaction) -> RuleSet:
        """Return the rules in force, which are in the database when a decision names them."""
        ...


class Store(Protocol):
    """Where profiles and decisions are written, in a transaction that its caller has opened."""

    async def profiles(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, Profile]:
        """Return the known ones of *wallet_ids*."""
        ...

    async def pass_over(self, tx: Transaction, passages: Sequence[Passage]) -> set[UUID]:
        """Move on the wallets of *passages*, without their profiles; return those that were where they begin."""
        ...

    async def add_profiles(self, tx: Transaction, profiles: Sequence[Profile]) -> None:
        """Add profiles."""
        ...

    async def update_profiles(self, tx: Transaction, profiles: Sequence[Profile]) -> None:
        """Write what events can change of known profiles."""
        ...

    async def add_decisions(self, tx: Transaction, decisions: Sequence[Decision]) -> None:
        """Add decisions and append their events to the outbox: the last thing that *tx* does."""
        ...


class StoredReason(msgspec.Struct, frozen=True):
    """A reason as it was written down: *value* and *threshold* are decimal strings."""

    rule: str
    outcome: DecisionOutcome
    mode: DecisionMode
    measure: str
    value: str
    threshold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision as it was written down; *decided_at* is the time of the event that triggered it."""

    decision_id: UUID
    wallet_id: UUID
    owner_id: str
    wallet_version: int
    outcome: str
    mode: str
    rules_version: str
    trigger_event_id: UUID
    trigger_shard: int
    trigger_seq: int
    decided_at: datetime
    reasons: Sequence[StoredReason]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """Which decisions are asked for; None asks for all."""

    wallet_id: UUID | None = None
    outcome: DecisionOutcome | None = None
    mode: DecisionMode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRules:
    """The rules in force as the projector wrote them down, and the last file it refused."""

    version: str
    content_hash: str
    text: str
    time_compression: int
    is_shadow: bool
    loaded_at: datetime
    refused_at: datetime | None
    refusal: str | None


class Reads(Protocol):
    """What is asked of the rows. Every question names the tenant, and another tenant's rows are not there."""

    async def profile(self, tenant_id: UUID, wallet_id: UUID) -> Profile | None:
        """Return a wallet's profile."""
        ...

    async def decision(self, tenant_id: UUID, decision_id: UUID) -> StoredDecision | None:
        """Return a decision."""
        ...

    async def decisions(
        self, tenant_id: UUID, wanted: DecisionFilter, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[StoredDecision]:
        """Return decisions, newest first, those older than *before* (time, id)."""
        ...

    async def stored_rules(self) -> StoredRules | None:
        """Return the rules in force, None where no projector has loaded any yet."""
        ...
