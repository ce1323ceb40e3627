"""Searching the history: candidates are found by terms, opened in the ledger's tables, and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.ids import SHARDS
from servicekit.consumer.checkpoints import Progress
from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, Projected, SubjectParked, freshness
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.matching import Entry
from transaction_history.domain.private_text import PrivateText, texts_of
from transaction_history.domain.rows import EntryRow
from transaction_history.domain.term_query import TermQuery, scope_terms, terms_of
from transaction_history.domain.terms import Hasher
from transaction_history.indexing.projection import INDEX
from transaction_history.projection.columns import columns_of
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.conditions import behind, settle
from transaction_history.reads.search_index import END, Asked, Budget, Key, Position, find
from transaction_history.reads.view import Parked, told_parked

CANDIDATES_MAX: Final = 500
"""A request opens no more: the rest comes with the next page."""
RANKED_MAX: Final = 1_000
"""By relevance, so many of the newest are ranked."""
OPENED_MAX: Final = 100
_ENTRY: Final = ", ".join(f"e.{column}" for column in columns_of(EntryRow))


@dataclass(frozen=True, slots=True)
class Hits:
    """Entries that are as asked for, and their free text in clear.

    *position* is where the search stands; None where everything was looked through.
    """

    entries: Sequence[Entry]
    position: Position | None
    parked: Parked
    freshness: Freshness


class SearchQueries:
    """Searches for one caller at a time: what is not of its tenant and of the owners it acts for is not there."""

    def __init__(
        self, tenants: TenantPool, *, index: Projected, ledger: Projected, private_text: PrivateText, hasher: Hasher
    ) -> None:
        self._tenants = tenants
        self._index = index
        self._ledger = ledger
        self._private_text = private_text
        self._hasher = hasher

    async def newest(
        self,
        caller: Principal,
        asked: EntryFilter,
        *,
        before: Position | None,
        limit: int,
        min_position: Mapping[int, int],
    ) -> Hits:
        """Return up to *limit* entries before *before*, newest first: fewer where the budget ended; see *position*.

        Raises SubjectParked where a wallet or an owner is asked for that has a parked wallet.
        """
        return await self._search(
            caller, asked, before, limit=limit, candidates_max=CANDIDATES_MAX, min_position=min_position
        )

    async def most_relevant(
        self, caller: Principal, asked: EntryFilter, *, before: Position | None, min_position: Mapping[int, int]
    ) -> Hits:
        """Return the newest entries before *before*, the most relevant first; raises as `newest` does."""
        hits = await self._search(
            caller, asked, before, limit=RANKED_MAX, candidates_max=RANKED_MAX, min_position=min_position
        )
        ranked = sorted(hits.entries, key=lambda entry: -entry.score(asked.query))
        return Hits(ranked, hits.position, hits.parked, hits.freshness)

    async def _search(
        self,
        caller: Principal,
        asked: EntryFilter,
        before: Position | None,
        *,
        limit: int,
        candidates_max: int,
        min_position: Mapping[int, int],
    ) -> Hits:
        index, ledger = await self._progress(min_position)
        looked_for = self._asked(caller, asked)
        entries: list[Entry] = []
        position: Position | None = None
        async with self._tenants.reading(caller.tenant_id) as connection:
            await settle(connection, caller, ledger, index)
            parked = await _parked(connection, caller.tenant_id, looked_for)
            if looked_for is not None:
                position, budget, opened = before or _first(asked), Budget(), 0
                while position is not None and len(entries) < limit and opened < candidates_max:
                    some = min(OPENED_MAX if opened else limit, candidates_max - opened)
                    found = await find(connection, looked_for, position, some, budget)
                    opened, position = opened + len(found.keys), found.position
                    entries.extend(await self._opened(connection, caller, asked, found.keys))
                    if not budget.is_left:
                        break
        if len(entries) > limit:
            last = entries[limit - 1].row
            entries, position = entries[:limit], Position(last.occurred_at, last.event_id)
        return Hits(entries, position, parked, freshness(behind(index, ledger), range(SHARDS)))

    async def _progress(self, min_position: Mapping[int, int]) -> tuple[Mapping[int, Progress], Mapping[int, Progress]]:
        """Return how far the index and the ledger's tables are."""
        return await self._index.progress_after(min_position), await self._ledger.progress_after(min_position)

    def _asked(self, caller: Principal, asked: EntryFilter) -> Asked | None:
        """Return what is looked for; None where nothing can be found."""
        owners, wallets = _scope(caller, asked)
        hasher = self._hasher.of(caller.tenant_id)
        terms = terms_of(asked, hasher, acts_for=caller.acts_for)
        scope = scope_terms(owners, wallets, hasher)
        if terms.is_vain or scope.is_vain:
            return None
        return Asked(
            tenant_id=caller.tenant_id,
            owners=owners,
            wallets=wallets,
            asked=asked,
            terms=terms,
            scoped=TermQuery(
                tuple(dict.fromkeys((*terms.required, *scope.required))),
                tuple(dict.fromkeys((*terms.any_of, *scope.any_of))),
            ),
        )

    async def _opened(
        self, connection: Connection, caller: Principal, asked: EntryFilter, keys: Sequence[Key]
    ) -> list[Entry]:
        """Return the entries at *keys* that are as *asked* for, in their order."""
        rows = await entries_at(connection, caller, keys)
        texts = await texts_of(self._private_text, rows)
        entries = [Entry(row, text, caller.acts_for) for row, text in zip(rows, texts, strict=True)]
        return [entry for entry in entries if entry.matches(asked)]


def _first(asked: EntryFilter) -> Position:
    return END if asked.to_at is None else Position(asked.to_at, END.event_id)


def _scope(caller: Principal, asked: EntryFilter) -> tuple[tuple[str, ...] | None, tuple[UUID, ...] | None]:
    """Return the owners and the wallets whose entries are looked through; None is all of them."""
    query = asked.query
    named = [] if query is None else [frozenset([each]) for each in query.owners]
    if asked.owner_ids:
        named.append(frozenset(asked.owner_ids))
    if caller.acts_for is not None:
        named.append(caller.acts_for)
    owners = tuple(sorted(frozenset.intersection(*named))) if named else None
    wallets = [] if query is None else [frozenset([each]) for each in query.wallets]
    if asked.wallet_ids:
        wallets.append(frozenset(asked.wallet_ids))
    return owners, tuple(sorted(frozenset.intersection(*wallets))) if wallets else None


async def entries_at(connection: Connection, caller: Principal, keys: Sequence[Key]) -> list[EntryRow]:
    """Return the entries at *keys* that the caller may see, in their order."""
    if not keys:
        return []
    wallet_ids, times, versions, _ = (list(column) for column in zip(*keys, strict=True))
    records = await connection.fetch(
        f"""select {_ENTRY}
            from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) with ordinality
                 as k (wallet_id, occurred_at, version, place)
            join {SCHEMA}.entry e
                 on e.wallet_id = k.wallet_id and e.occurred_at = k.occurred_at and e.version = k.version
            where e.tenant_id = $4 and ($5::text[] is null or $5::text[] @> array[e.owner_id])
            order by k.place""",
        wallet_ids,
        times,
        versions,
        caller.tenant_id,
        None if caller.acts_for is None else list(caller.acts_for),
    )
    return [EntryRow(*record) for record in records]


async def _parked(connection: Connection, tenant_id: UUID, asked: Asked | None) -> Parked:
    """Return the parked wallets of the scope; raises SubjectParked where it is some owners' or wallets' alone."""
    if asked is None:
        return told_parked([])
    owners, wallets = asked.owners, asked.wallets
    records = await connection.fetch(
        f"""select distinct w.wallet_id
            from servicekit.parked_subject p join {SCHEMA}.wallet w on w.wallet_id = p.subject
            where p.projection = any ($1::text[]) and w.tenant_id = $2
              and ($3::text[] is null or w.owner_id = any ($3)) and ($4::uuid[] is null or w.wallet_id = any ($4))
            order by w.wallet_id""",
        [INDEX, SCHEMA],
        tenant_id,
        None if owners is None else list(owners),
        None if wallets is None else list(wallets),
    )
    if records and (owners is not None or wallets is not None):
        raise SubjectParked
    return told_parked([record["wallet_id"] for record in records])
