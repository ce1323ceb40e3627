"""Questions about risk: how fresh the answer is comes with each, and a parked wallet is never passed over."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import shard_of
from fraud.domain.profile import Profile
from fraud.domain.rules import RuleSet
from fraud.projection.stored import StoredDecision
from fraud.reads.reads_postgres import DecisionFilter, RiskReads
from fraud.rules.rules_postgres import StoredRules
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, freshness

RulesOf = Callable[[StoredRules], RuleSet]

DECISIONS_SHOWN: Final = 20
"""How many of its last decisions a wallet's answer holds; the list has the rest."""


class WalletUnknown(Exception):
    """There is no such wallet, or it is not the caller's to see."""


class DecisionUnknown(Exception):
    """There is no such decision, or it is not the caller's to see."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force as they were stored, and what they say."""

    stored: StoredRules
    in_force: RuleSet


@dataclass(frozen=True, slots=True)
class WalletRisk:
    """A wallet's profile with its last decisions, newest first; *rules* is None before any were in force."""

    profile: Profile
    decisions: Sequence[StoredDecision]
    rules: Rules | None
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions, newest first."""

    rows: Sequence[StoredDecision]
    freshness: Freshness


class RiskQueries:
    """Answers every question of a caller; each may wait for *min_position* first.

    What is not of the caller's tenant, and of the owners it acts for, is not there.
    """

    def __init__(self, reads: RiskReads, projected: Projected, *, rules_of: RulesOf) -> None:
        self._reads = reads
        self._projected = projected
        self._rules_of = rules_of
        self._rules: Rules | None = None

    async def wallet(self, caller: Principal, wallet_id: UUID, *, min_position: Mapping[int, int]) -> WalletRisk:
        """Return a wallet's profile and its last decisions; raises WalletUnknown and SubjectParked."""
        progress = await self._projected.progress_after(min_position)
        profile = await self._reads.profile(caller, wallet_id)
        if profile is None:
            raise WalletUnknown
        await self._projected.refuse_parked([wallet_id])
        wanted = DecisionFilter(wallet_id=wallet_id)
        decisions = await self._reads.decisions(caller, wanted, before=None, limit=DECISIONS_SHOWN)
        fresh = freshness(progress, [*min_position, shard_of(wallet_id)])
        return WalletRisk(profile, decisions, await self.rules(), fresh)

    async def decisions(
        self,
        caller: Principal,
        wanted: DecisionFilter,
        *,
        before: tuple[datetime, UUID] | None,
        limit: int,
        min_position: Mapping[int, int],
    ) -> Decisions:
        """Return up to *limit* decisions; raises SubjectParked if they are asked for one wallet that is."""
        progress = await self._projected.progress_after(min_position)
        shards: Iterable[int] = progress
        if wanted.wallet_id is not None:
            shards = [*min_position, shard_of(wanted.wallet_id)]
            if await self._reads.profile(caller, wanted.wallet_id) is not None:
                await self._projected.refuse_parked([wanted.wallet_id])
        rows = await self._reads.decisions(caller, wanted, before=before, limit=limit)
        return Decisions(rows, freshness(progress, shards))

    async def decision(self, caller: Principal, decision_id: UUID) -> StoredDecision:
        """Return a decision; raises DecisionUnknown."""
        decision = await self._reads.decision(caller, decision_id)
        if decision is None:
            raise DecisionUnknown
        return decision

    async def rules(self) -> Rules | None:
        """Return the rules that the projector judges by."""
        stored = await self._reads.stored_rules()
        if stored is None:
            return None
        known = self._rules
        if known is None or known.stored.version != stored.version:
            known = Rules(stored, self._rules_of(stored))
        self._rules = Rules(stored, known.in_force)
        return self._rules
