"""Conditional reads: what an answer depends on, as a tag. Who has the answer already is told so after one row is read.

A tag is made, on the connection that the answer is read on and before it, of the request, of what its caller may see,
and of the state that was read. So it is never newer than the answer that carries it.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from contracts.ids import SHARDS, shard_of
from servicekit.conditions import Where
from servicekit.consumer import checkpoints
from servicekit.consumer.checkpoints import Progress
from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.read_model.projected import Freshness, freshness
from transaction_history.indexing.projection import INDEX
from transaction_history.projection.read_model_postgres import SCHEMA

_TAG_BYTES: Final = 18

Positions = Mapping[int, Progress]

# Each schema's number is another one behind a switch, also back.
_GENERATION: Final = f"""
    coalesce(to_regnamespace('{SCHEMA}')::oid::bigint, 0), coalesce(to_regnamespace('{INDEX}')::oid::bigint, 0),
    (select coalesce(sum(number), 0)::bigint from history_jobs.generation)"""
_OF_WALLET: Final = f"""
    select {_GENERATION}, version,
           exists (select from servicekit.parked_subject where projection = '{SCHEMA}' and subject = wallet_id),
           exists (select from servicekit.parked_subject where projection = '{INDEX}' and subject = wallet_id)
    from {SCHEMA}.wallet"""
_OF_TENANT: Final = f"""
    select {_GENERATION},
           (select md5(string_agg(projection || subject, ',' order by projection, subject))
            from servicekit.parked_subject)"""


class NotModified(Exception):
    """The caller has the answer already."""


class Of(Enum):
    """What an answer depends on."""

    WALLET = auto()
    TENANT = auto()
    KEPT = auto()
    """When it was made: it is settled by whoever keeps it."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer's tag, and how fresh the answer is at least; None of one that is kept, which tells its age."""

    tag: str
    freshness: Freshness | None


@dataclass(slots=True, kw_only=True)
class Condition:
    """What is asked, and the tags that the caller *has*; *settled* once the state is read.

    *asked* is the request as text. *of_index*: the index has a part in the answer. *wallet_id* is given where the
    answer is of one wallet.
    """

    asked: str
    has: frozenset[str]
    of: Of
    of_index: bool = False
    wallet_id: UUID | None = None
    settled: Settled | None = None

    def settle(self, caller: Principal, state: object, fresh: Freshness | None) -> None:
        """Give the answer the tag of *state*; raises NotModified where the caller has it."""
        seen_by = (caller.tenant_id, caller.owners, caller.kind, caller.scopes)
        digest = sha256(msgspec.json.encode((self.asked, seen_by, state))).digest()
        self.settled = Settled(f'"{urlsafe_b64encode(digest[:_TAG_BYTES]).decode()}"', fresh)
        if self.settled.tag in self.has:
            raise NotModified


_CONDITION: Final[ContextVar[Condition | None]] = ContextVar("condition", default=None)


@contextmanager
def under(condition: Condition) -> Iterator[None]:
    """Have the answer that the body reads be given a tag; the body raises NotModified where the caller has it."""
    token = _CONDITION.set(condition)
    try:
        yield
    finally:
        _CONDITION.reset(token)


async def settle(connection: Connection, caller: Principal, ledger: Positions, index: Positions | None = None) -> None:
    """Give the answer that is read next on *connection* its tag, if it is to have one; raises NotModified.

    *ledger* and *index* are how far the projections are there; without *index* it is read where it has a part in the
    answer. A wallet that is parked or not the caller's has no tag: its answer is refused.
    """
    condition = _CONDITION.get()
    if condition is None or condition.of is Of.KEPT:
        return
    condition.settled = None  # where the answer is read again, or in two parts, the last state counts
    if condition.of_index and index is None:
        index = await checkpoints.progress(connection, INDEX)
    if condition.of is Of.WALLET:
        await _settle_wallet(condition, connection, caller, ledger, index)
        return
    (row,) = await connection.fetch(_OF_TENANT)
    state = (tuple(row), _sequences(ledger), _sequences(index or {}))
    condition.settle(caller, state, _freshness(ledger, index, range(SHARDS)))


def settle_kept(caller: Principal, state: object) -> None:
    """Give an answer that is kept the tag of its *state*; raises NotModified."""
    condition = _CONDITION.get()
    if condition is not None:
        condition.settle(caller, state, None)


async def _settle_wallet(
    condition: Condition, connection: Connection, caller: Principal, ledger: Positions, index: Positions | None
) -> None:
    wallet_id = condition.wallet_id
    if wallet_id is None:
        return
    asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
    asked.owners(caller.owners)
    row = await connection.fetchrow(f"{_OF_WALLET} {asked}", *asked.values)
    if row is None or any(tuple(row)[-2:]):
        return
    shard = shard_of(wallet_id)
    at = 0 if index is None or shard not in index else index[shard].last_seq
    condition.settle(caller, (tuple(row), at), _freshness(ledger, index, [shard]))


def behind(one: Positions, other: Positions) -> Positions:
    """Return how far both projections are, shard by shard the one that is behind: both make the answer."""
    none = Progress(0, 0)
    both = {shard: (one.get(shard, none), other.get(shard, none)) for shard in one.keys() | other.keys()}
    return {
        shard: Progress(
            min(first.last_seq, second.last_seq),
            max(first.lag_ms, second.lag_ms),
            min(first.read_at, second.read_at) if first.read_at and second.read_at else None,
        )
        for shard, (first, second) in both.items()
    }


def _freshness(ledger: Positions, index: Positions | None, shards: range | list[int]) -> Freshness:
    return freshness(ledger if index is None else behind(index, ledger), shards)


def _sequences(progress: Positions) -> list[tuple[int, int]]:
    return sorted((shard, found.last_seq) for shard, found in progress.items())
