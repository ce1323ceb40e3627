"""Which due deliveries a worker begins: no tenant and no slow endpoint keeps another waiting. Pure.

A worker has a number of slots, one per attempt under way. Each process decides for its own slots, and what the
processes allow adds up; only what an endpoint holds is counted over all of them.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from notifications.domain.outcomes import AttemptOutcome

TENANT_SHARE: Final = 4
"""While others have something due, a tenant holds at most one in so many of the slots."""
LAGGING_SHARE: Final = 2
"""Endpoints that fail or are slow hold at most one in so many of the slots, all together, and of their tenant's."""
RESERVE_SHARE: Final = 8
"""The last slots, one in so many, are for tenants that hold less than that: who comes new finds a slot."""
SLOW_SHARE: Final = 4
"""A slow endpoint gets one in so many of the attempts that another may have at once."""
SLOW_MS: Final = 1_000
"""An attempt that holds its slot so long is slow, whatever it ends with."""
QUICK_NEEDED: Final = 8
"""An endpoint is slow until so many attempts in a row were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An endpoint with *due* deliveries and *held* attempts under way over all workers."""

    endpoint_id: UUID
    tenant_id: UUID
    is_failing: bool
    is_slow: bool
    due: int
    held: int

    @property
    def is_lagging(self) -> bool:
        """Whether it shares the slots of those that fail or are slow."""
        return self.is_failing or self.is_slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many attempts to begin to an endpoint that may have *attempts_max* at once over all workers."""

    endpoint_id: UUID
    is_lagging: bool
    attempts: int
    attempts_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a tenant holds of a process's slots; *lagging* of them are with endpoints that fail or are slow."""

    slots: int = 0
    lagging: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """A process's slots: how many there are, and who holds how many of them.

    *per_endpoint* is how many attempts one endpoint may have at once, over all workers.
    """

    capacity: int
    per_endpoint: int
    held: Mapping[UUID, Held]

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self.capacity - sum(each.slots for each in self.held.values())


def is_slow(outcome: AttemptOutcome, held_ms: int) -> bool:
    """Tell whether an attempt held its slot for long."""
    return outcome is AttemptOutcome.TIMEOUT or held_ms >= SLOW_MS


def share_out(candidates: Iterable[Candidate], slots: Slots) -> list[Grant]:
    """Return how many attempts to begin to which endpoints; candidates in random order have the same chances.

    Slot by slot the tenant that holds the fewest comes next, and of its endpoints the next in turn.
    """
    tenants = _tenants(candidates, slots)
    free, reserve = slots.free, slots.capacity // RESERVE_SHARE
    lagging_room = max(1, slots.capacity // LAGGING_SHARE) - sum(each.lagging for each in slots.held.values())
    tenant_max = slots.capacity if len(tenants) <= 1 else max(1, slots.capacity // TENANT_SHARE)
    granted: Counter[Candidate] = Counter()
    turns = [(tenant.held, place, tenant) for place, tenant in enumerate(tenants)]
    heapq.heapify(turns)
    while free > 0 and turns:
        _, place, tenant = heapq.heappop(turns)
        if tenant.held >= tenant_max or (free <= reserve and tenant.held >= reserve):
            continue
        taken = tenant.take(tenant_max, lagging_room)
        if taken is None:
            continue
        granted[taken] += 1
        free -= 1
        lagging_room -= taken.is_lagging
        heapq.heappush(turns, (tenant.held, place, tenant))
    return [
        Grant(
            endpoint_id=candidate.endpoint_id,
            is_lagging=candidate.is_lagging,
            attempts=attempts,
            attempts_max=_attempts_max(candidate, slots.per_endpoint),
        )
        for candidate, attempts in granted.items()
    ]


@dataclass(slots=True)
class _Tenant:
    """What a tenant holds, and its endpoints that may get more, each with how much."""

    held: int
    held_lagging: int
    quick: deque[tuple[Candidate, int]] = field(default_factory=deque)
    lagging: deque[tuple[Candidate, int]] = field(default_factory=deque)

    def take(self, tenant_max: int, lagging_room: int) -> Candidate | None:
        """Take the endpoint whose turn it is, None where none may get anything.

        Those that lag hold at most half of what their tenant may, and of what it holds while a quick one waits.
        """
        room = min(lagging_room, max(1, tenant_max // LAGGING_SHARE) - self.held_lagging)
        has_lagging = bool(self.lagging) and room > 0
        if has_lagging and (not self.quick or self.held_lagging < self.held // LAGGING_SHARE):
            self.held_lagging += 1
            queue = self.lagging
        elif self.quick:
            queue = self.quick
        else:
            return None
        self.held += 1
        candidate, left = queue.popleft()
        if left > 1:
            queue.append((candidate, left - 1))
        return candidate


def _tenants(candidates: Iterable[Candidate], slots: Slots) -> list[_Tenant]:
    """Return the tenants that have something due."""
    tenants: dict[UUID, _Tenant] = {}
    for candidate in candidates:
        if candidate.due <= 0:
            continue
        tenant = tenants.get(candidate.tenant_id)
        if tenant is None:
            held = slots.held.get(candidate.tenant_id, Held())
            tenant = tenants[candidate.tenant_id] = _Tenant(held.slots, held.lagging)
        room = min(candidate.due, _attempts_max(candidate, slots.per_endpoint) - candidate.held)
        if room > 0:
            (tenant.lagging if candidate.is_lagging else tenant.quick).append((candidate, room))
    return list(tenants.values())


def _attempts_max(candidate: Candidate, per_endpoint: int) -> int:
    """Return how many attempts *candidate* may have at once."""
    if candidate.is_failing:
        return 1
    return max(1, per_endpoint // SLOW_SHARE) if candidate.is_slow else per_endpoint
