"""What is old is forgotten, the oldest first, in chunks: each a transaction of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from servicekit.maintenance import JobRun
from servicekit.postgres import Connection

CHUNK_ROWS: Final = 2_000
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)

# now() and not clock_timestamp(): only what is stable within the statement can be looked up in an index. The lower
# bounds pass over the index entries of what was deleted before, which stay until the table is vacuumed.
FORGET_DELIVERIES: Final = """
    with old as materialized (
        select id, settled_at from notifications.delivery
        where settled_at >= $1 and settled_at < now() - make_interval(days => $2) order by settled_at limit $3
    ), tried as (
        delete from notifications.attempt as a using old where a.delivery_id = old.id
    ), gone as (
        delete from notifications.delivery as d using old where d.id = old.id returning d.message_id
    )
    select (select count(*) from gone) as forgotten, (select max(settled_at) from old) as newest,
           array(select distinct message_id from gone) as message_ids"""
FORGET_MESSAGES: Final = """
    delete from notifications.message as m
    where m.id = any ($1) and not exists (select from notifications.delivery as d where d.message_id = m.id)"""
FORGET_KEYS: Final = """
    with old as materialized (
        select client, key, created_at from notifications.idempotency
        where created_at >= $1 and created_at < now() - make_interval(days => $2) order by created_at limit $3
    ), gone as (
        delete from notifications.idempotency as i using old where (i.client, i.key) = (old.client, old.key) returning 1
    )
    select (select count(*) from gone) as forgotten, (select max(created_at) from old) as newest"""

# What an endpoint that is gone was still to get, and what has been due for so long without a resumption.
CANCEL: Final = """
    update notifications.delivery set status = 'cancelled', settled_at = now(), lease_token = null
    where id in (
        select d.id from notifications.endpoint as e cross join lateral (
            select id from notifications.delivery
            where endpoint_id = e.id and status = 'pending' and next_attempt_at <
                case when e.status = 'deleted' then 'infinity' else now() - make_interval(days => $2) end
            order by next_attempt_at, id limit $1) as d
        where e.status <> 'active' limit $1)"""
FORGET_ENDPOINTS: Final = """
    delete from notifications.endpoint where id in (
        select id from notifications.endpoint as e
        where status = 'deleted' and updated_at < now() - make_interval(days => $2)
          and not exists (select from notifications.delivery where endpoint_id = e.id) limit $1)"""
FORGET_SECRETS: Final = """
    delete from notifications.endpoint_secret where id in (
        select id from notifications.endpoint_secret
        where expires_at < now() - make_interval(days => $2) order by expires_at limit $1)"""


class DeliveryForgetting:
    """Forgets deliveries that were settled more than *days* ago, with their attempts, and remembers how far it is.

    With the last delivery of a message the message goes too: so only one instance may do it at a time.
    """

    def __init__(self, days: int, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._days = days
        self._chunk_rows = chunk_rows
        self._since = _BEGINNING

    async def forget_chunk(self, run: JobRun) -> int:
        """Delete one chunk; return how many deliveries there were. After a chunk that was not full it begins anew."""
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(FORGET_DELIVERIES, self._since, self._days, self._chunk_rows)
            assert row is not None
            await tx.connection.execute(FORGET_MESSAGES, row["message_ids"])
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= self._chunk_rows else _BEGINNING
        return forgotten


class KeyForgetting:
    """Forgets idempotency keys that are older than *days*, and remembers how far it is."""

    def __init__(self, days: int, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._days = days
        self._chunk_rows = chunk_rows
        self._since = _BEGINNING

    async def forget_chunk(self, run: JobRun) -> int:
        """Delete one chunk; return how many keys there were. After a chunk that was not full it begins anew."""
        async with run.transaction() as tx:
            row = await tx.connection.fetchrow(FORGET_KEYS, self._since, self._days, self._chunk_rows)
        assert row is not None
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= self._chunk_rows else _BEGINNING
        return forgotten


class Clearing:
    """Runs *statements* that take a chunk's size and *days*, each in a transaction of its own."""

    def __init__(self, statements: Sequence[str], days: int, *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._statements = statements
        self._days = days
        self._chunk_rows = chunk_rows

    async def clear_chunk(self, run: JobRun) -> int:
        """Do one chunk of each; return how many rows the fullest had."""
        rows = [0]
        for statement in self._statements:
            async with run.transaction() as tx:
                rows.append(await _rows(tx.connection, statement, self._chunk_rows, self._days))
        return max(rows)


async def _rows(connection: Connection, statement: str, *arguments: Any) -> int:
    tag = await connection.execute(statement, *arguments)
    return int(tag.rpartition(" ")[2])
