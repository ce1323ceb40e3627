"""What a service knows of identities, as its API reads it."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.access import (
    ACCESS_STREAM,
    ISSUER_CHANGED,
    RATE_LIMITS_CHANGED,
    AccessData,
    IssuerChanged,
    RateLimitsChanged,
)
from contracts.registry import TYPES_BY_NUMBER
from servicekit.consumer import checkpoints
from servicekit.postgres import Pool

CHANGES_PER_LOOK_MAX: Final = 1_000
TENANTS_MAX: Final = 10_000
"""With rates of their own."""
ISSUERS_MAX: Final = 20
"""Of one URL, over all tenants; a token of a URL that more have registered is refused."""
URLS_MAX: Final = 64
"""Of issuers whose tokens come, kept in memory until something changes."""

_WITHOUT_END: Final = 2**63 - 1
_DEVELOPMENT_ISSUER: Final = """
    kind = $1 and convert_from(body, 'UTF8')::jsonb @> '{"is_development": true, "status": "active"}'"""
_COLUMNS: Final = "id, kind, tenant_id, body"
_LOOK: Final = """
    select coalesce((select max(change) from servicekit.access_entity), 0) as head,
           array(select id from servicekit.access_entity where change > $1 order by change limit $3) as changed,
           (select max(change) from (select change from servicekit.access_entity where change > $1
                                     order by change limit $3) as seen) as seen,
           array(select subject from servicekit.parked_subject where projection = $2 order by subject) as parked,
           exists (select from servicekit.checkpoint where projection = $2 and stopped is not null) as is_stopped,
           (select extract(epoch from max(clock_timestamp() - measured_at)) + max(lag_ms) / 1000.0
            from servicekit.projection_lag where projection = $2)::float8 as stale_s"""


@dataclass(frozen=True, slots=True)
class Entity:
    """The last state of an entity."""

    id: UUID
    tenant_id: UUID
    state: AccessData


@dataclass(frozen=True, slots=True)
class Look:
    """What has changed: the entities *changed* since a change number, *seen* the last of them and *head* the newest.

    *parked* are the entities with an event that cannot be applied. *stale_s* is how long ago the projection was at the
    end of its stream, None where it never was.
    """

    head: int
    seen: int
    changed: Sequence[UUID]
    parked: frozenset[UUID]
    is_stopped: bool
    stale_s: float | None


class _Round:
    """What is looked up together: everybody who asks until its read begins."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()
        self.reading: asyncio.Task[Mapping[UUID, Entity]] | None = None


class Directory:
    """Reads what the projection *name* keeps, through *pool*; where it *is_source*, all of it is there at once.

    Unless it *believes_development*, issuers that are for development are not among those it tells of by their URL.
    Credentials that are verified at the same time share their reads: one is under way, and who asks meanwhile is served
    by the next.
    """

    def __init__(self, pool: Pool, name: str, *, is_source: bool = False, believes_development: bool = True) -> None:
        self._pool = pool
        self._name = name
        self._is_source = is_source
        self._believes_development = believes_development
        self._one_read = asyncio.Lock()
        self._next = _Round()
        self._issuers: dict[str, Sequence[Entity]] = {}
        self._forgotten = 0
        """How often `forget` was called."""

    async def entities(self, ids: Collection[UUID]) -> Mapping[UUID, Entity]:
        """Return those of *ids* that there are, as of a read that began after the call."""
        own = self._next
        own.ids.update(ids)
        if own.reading is None:
            own.reading = asyncio.create_task(self._read_round(own), name="access-lookups")
            own.reading.add_done_callback(_seen)
        found = await asyncio.shield(own.reading)
        return {each: found[each] for each in ids if each in found}

    async def issuers(self, url: str) -> Sequence[Entity]:
        """Return the issuers registered under *url*, at most one more than ISSUERS_MAX, as of the last `forget`."""
        known = self._issuers.get(url)
        if known is not None:
            return known
        forgotten = self._forgotten
        found: Sequence[Entity] = await self._read("lookup = $1", url, ISSUERS_MAX + 1)
        if not self._believes_development:
            found = [each for each in found if not _is_for_development(each.state)]
        if found and forgotten == self._forgotten and len(self._issuers) < URLS_MAX:
            self._issuers[url] = found
        return found

    def forget(self) -> None:
        """Read issuers anew from now on: something has changed."""
        self._forgotten += 1
        self._issuers.clear()

    async def development_issuer(self) -> IssuerChanged | None:
        """Return an active issuer that is for development, or None. Reads all issuers: for a process's start."""
        for entity in await self._read(_DEVELOPMENT_ISSUER, ISSUER_CHANGED.number, 1):
            if isinstance(entity.state, IssuerChanged):
                return entity.state
        return None

    async def rate_limits(self) -> Mapping[UUID, RateLimitsChanged]:
        """Return the rates of every tenant that has its own."""
        found = await self._read("kind = $1", RATE_LIMITS_CHANGED.number, TENANTS_MAX)
        return {entity.tenant_id: entity.state for entity in found if isinstance(entity.state, RateLimitsChanged)}

    async def look(self, since: int) -> Look:
        """Return what has changed since the change *since*, at most CHANGES_PER_LOOK_MAX of it."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_LOOK, since, self._name, CHANGES_PER_LOOK_MAX)
        assert row is not None
        return Look(
            head=row["head"],
            seen=since if row["seen"] is None else row["seen"],
            changed=row["changed"],
            parked=frozenset(row["parked"]),
            is_stopped=row["is_stopped"],
            stale_s=0.0 if self._is_source else row["stale_s"],
        )

    async def reached(self, shards: Collection[int]) -> Mapping[int, int]:
        """Return up to which sequence each of *shards* is projected."""
        if self._is_source:
            return dict.fromkeys(shards, _WITHOUT_END)
        async with self._pool.connection() as connection:
            return await checkpoints.reached(connection, self._name, shards)

    async def _read_round(self, own: _Round) -> Mapping[UUID, Entity]:
        async with self._one_read:
            self._next = _Round()
            found = await self._read("id = any ($1::uuid[])", list(own.ids), len(own.ids))
        return {entity.id: entity for entity in found}

    async def _read(self, where: str, argument: object, limit: int) -> list[Entity]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from servicekit.access_entity where {where} limit {limit:d}", argument
            )
        return [Entity(row["id"], row["tenant_id"], _state(row["kind"], row["body"])) for row in rows]


def _seen(reading: "asyncio.Task[Mapping[UUID, Entity]]") -> None:
    """Take the error of a read that nobody waits for any more."""
    if not reading.cancelled():
        reading.exception()


def _is_for_development(state: AccessData) -> bool:
    return isinstance(state, IssuerChanged) and state.is_development


def _state(kind: int, body: bytes) -> AccessData:
    return ACCESS_STREAM.parse(TYPES_BY_NUMBER[kind].name, body)
