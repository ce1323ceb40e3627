"""Questions about risk: how fresh the answer is comes with each, and a parked wallet is never passed over."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import shard_of
from fraud.application.ports import DecisionFilter, Reads, StoredDecision, StoredRules
from fraud.domain.profile import Profile
from fraud.domain.rules import RuleSet
from servicekit.consumer.checkpoints import Progress
from servicekit.reads import PositionWaiter

ProgressOf = Callable[[], Awaitable[Mapping[int, Progress]]]
IsParked = Callable[[Sequence[UUID]], Awaitable[bool]]
RulesOf = Callable[[StoredRules], RuleSet]

DECISIONS_SHOWN: Final = 20
"""How many of its last decisions a wallet's answer holds; the list has the rest."""


class WalletUnknown(Exception):  # noqa: N818  it names what was found out
    """The tenant has no such wallet."""


class DecisionUnknown(Exception):  # noqa: N818  it names what was found out
    """The tenant has no such decision."""


class WalletParked(Exception):  # noqa: N818  it names what was found out
    """A wallet that the answer touches is parked: what is stored of it is behind, for longer than any lag tells."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to where the answer saw the journal, by shard, and how far that is behind the end of the stream."""

    position: Mapping[int, int]
    lag_ms: int


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
    """A page of decisions, newest first; *has_more* tells whether there are older ones."""

    rows: Sequence[StoredDecision]
    has_more: bool
    freshness: Freshness


class RiskQueries:
    """Answers every question; each may wait for *min_position* first."""

    def __init__(
        self,
        reads: Reads,
        *,
        progress: ProgressOf,
        is_parked: IsParked,
        waiter: PositionWaiter,
        rules_of: RulesOf,
    ) -> None:
        self._reads = reads
        self._progress = progress
        self._is_parked = is_parked
        self._waiter = waiter
        self._rules_of = rules_of
        self._rules: Rules | None = None

    async def wallet(self, tenant_id: UUID, wallet_id: UUID, *, min_position: Mapping[int, int]) -> WalletRisk:
        """Return a wallet's profile and its last decisions; raises WalletUnknown and WalletParked."""
        progress = await self._progress_after(min_position)
        profile = await self._reads.profile(tenant_id, wallet_id)
        if profile is None:
            raise WalletUnknown
        await self._refuse_parked(wallet_id)
        wanted = DecisionFilter(wallet_id=wallet_id)
        decisions = await self._reads.decisions(tenant_id, wanted, before=None, limit=DECISIONS_SHOWN)
        freshness = _freshness(progress, [*min_position, shard_of(wallet_id)])
        return WalletRisk(profile, decisions, await self.rules(), freshness)

    async def decisions(
        self,
        tenant_id: UUID,
        wanted: DecisionFilter,
        *,
        before: tuple[datetime, UUID] | None,
        limit: int,
        min_position: Mapping[int, int],
    ) -> Decisions:
        """Return a page of decisions; raises WalletParked where they are asked for one wallet that is."""
        progress = await self._progress_after(min_position)
        shards: Iterable[int] = progress
        if wanted.wallet_id is not None:
            shards = [*min_position, shard_of(wanted.wallet_id)]
            if await self._reads.profile(tenant_id, wanted.wallet_id) is not None:
                await self._refuse_parked(wanted.wallet_id)
        rows = await self._reads.decisions(tenant_id, wanted, before=before, limit=limit + 1)
        return Decisions(rows[:limit], len(rows) > limit, _freshness(progress, shards))

    async def decision(self, tenant_id: UUID, decision_id: UUID) -> StoredDecision:
        """Return a decision; raises DecisionUnknown."""
        decision = await self._reads.decision(tenant_id, decision_id)
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

    async def _progress_after(self, min_position: Mapping[int, int]) -> Mapping[int, Progress]:
        """Wait for *min_position*; return the progress as of before anything else is read: the answer saw no less."""
        if min_position:
            await self._waiter.wait_for(min_position)
        return await self._progress()

    async def _refuse_parked(self, wallet_id: UUID) -> None:
        if await self._is_parked([wallet_id]):
            raise WalletParked


def _freshness(progress: Mapping[int, Progress], shards: Iterable[int]) -> Freshness:
    seen = {shard: progress[shard] for shard in sorted(set(shards)) if shard in progress}
    lag_ms = max((shard.lag_ms for shard in seen.values()), default=0)
    return Freshness({shard: found.last_seq for shard, found in seen.items()}, lag_ms)
