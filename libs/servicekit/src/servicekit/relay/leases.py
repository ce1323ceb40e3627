"""Who publishes which shard: leases by the database's clock, and cursors that move by compare-and-set.

A lease's epoch grows with every owner. A process that was paused finds its epoch gone and drops the shard.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.ids import SHARDS
from servicekit.postgres import Connection

# A move that a crash loses is only a repeat, so it does not wait for the disk. The setting ends with its transaction.
_ASYNCHRONOUS = "with asynchronous as materialized (select set_config('synchronous_commit', 'off', true))"

_MOVE = f"""
    {_ASYNCHRONOUS}
    update servicekit.relay_lease as lease set cursor = move.after
    from unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[]) as move (shard, epoch, before, after),
         asynchronous
    where lease.shard = move.shard and lease.owner = $1 and lease.epoch = move.epoch and lease.cursor = move.before
    returning lease.shard"""

_HEARTBEAT = """
    insert into servicekit.relay_instance (owner, expires_at)
    values ($1, clock_timestamp() + make_interval(secs => $2))
    on conflict (owner) do update set expires_at = excluded.expires_at"""

_RENEW = """
    update servicekit.relay_lease set expires_at = clock_timestamp() + make_interval(secs => $2)
    where owner = $1 returning shard, epoch, cursor"""

_LIVE = "select count(*) from servicekit.relay_instance where expires_at > clock_timestamp()"

# SKIP LOCKED: two instances that look at once take different shards, and neither waits.
_ACQUIRE = """
    with free as (
        select shard from servicekit.relay_lease
        where (owner is null or (owner <> $1 and expires_at <= clock_timestamp())) and shard <> all ($4::smallint[])
        order by shard limit $3 for update skip locked
    )
    update servicekit.relay_lease as lease
    set owner = $1, epoch = lease.epoch + 1, expires_at = clock_timestamp() + make_interval(secs => $2)
    from free where lease.shard = free.shard
    returning lease.shard, lease.epoch, lease.cursor"""

_RELEASE = """
    update servicekit.relay_lease as lease set owner = null, expires_at = '-infinity'
    from unnest($2::smallint[], $3::bigint[]) as mine (shard, epoch)
    where lease.shard = mine.shard and lease.owner = $1 and lease.epoch = mine.epoch"""

_LEAVE = "delete from servicekit.relay_instance where owner = $1 or expires_at < clock_timestamp() - interval '1 hour'"


@dataclass(frozen=True, slots=True)
class Lease:
    """A shard this process publishes, and the cursor it was found at."""

    shard: int
    epoch: int
    cursor: int


@dataclass(frozen=True, slots=True)
class Move:
    """A cursor to move: by compare-and-set on (*before*, *epoch*)."""

    shard: int
    epoch: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal found: epochs and cursors of the shards still owned, and how many this process should own."""

    epochs: Mapping[int, int]
    fair_share: int
    cursors: Mapping[int, int] = field(default_factory=dict)


class Leases:
    """The leases of one process, known as *owner* (unique among all that ever ran), lasting *lease_s* seconds."""

    def __init__(self, *, owner: str, lease_s: float) -> None:
        self._owner = owner
        self._lease_s = lease_s

    async def renew(self, connection: Connection) -> Renewal:
        """Record that this process is alive, and extend its leases, also those that ran out and nobody took."""
        await connection.execute(_HEARTBEAT, self._owner, self._lease_s)
        rows = await connection.fetch(_RENEW, self._owner, self._lease_s)
        live = await connection.fetchval(_LIVE)
        return Renewal(
            epochs={row["shard"]: row["epoch"] for row in rows},
            fair_share=-(-SHARDS // max(1, live)),
            cursors={row["shard"]: row["cursor"] for row in rows},
        )

    async def acquire(self, connection: Connection, shards_max: int, leave: Collection[int] = ()) -> list[Lease]:
        """Take up to *shards_max* shards that are free or whose owner's lease ran out, none of those to *leave*."""
        rows = await connection.fetch(_ACQUIRE, self._owner, self._lease_s, shards_max, list(leave))
        return [Lease(row["shard"], row["epoch"], row["cursor"]) for row in rows]

    async def move(self, connection: Connection, moves: Sequence[Move]) -> set[int]:
        """Move cursors in one statement; return the shards that moved. Another owner has those that did not."""
        rows = await connection.fetch(
            _MOVE,
            self._owner,
            [move.shard for move in moves],
            [move.epoch for move in moves],
            [move.before for move in moves],
            [move.after for move in moves],
        )
        return {row["shard"] for row in rows}

    async def unowned(self, connection: Connection) -> dict[int, int]:
        """Return the cursors of shards that nobody publishes."""
        rows = await connection.fetch(
            "select shard, cursor from servicekit.relay_lease where owner is null or expires_at <= clock_timestamp()"
        )
        return {row["shard"]: row["cursor"] for row in rows}

    async def release(self, connection: Connection, epochs: Mapping[int, int]) -> None:
        """Free the shards, so that another instance takes them at once."""
        await connection.execute(_RELEASE, self._owner, list(epochs), list(epochs.values()))

    async def leave(self, connection: Connection) -> None:
        """Be counted no more among those that live."""
        await connection.execute(_LEAVE, self._owner)
