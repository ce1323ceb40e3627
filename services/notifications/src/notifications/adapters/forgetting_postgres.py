"""What is old is forgotten, the oldest first, in lots: each a transaction of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from servicekit.maintenance import Turn
from servicekit.postgres import Connection

LOT: Final = 2_000
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)

# now() and not clock_timestamp(): only what is stable within the statement can be looked up in an index. The lower
# bounds pass over the index entries of what was deleted before, which stay until the table is vacuumed.
FORGET_DELIVERIES: Final = """
    WITH old AS MATERIALIZED (
        SELECT id, settled_at FROM notifications.delivery
        WHERE settled_at >= $1 AND settled_at < now() - make_interval(days => $2) ORDER BY settled_at LIMIT $3
    ), tried AS (
        DELETE FROM notifications.attempt AS a USING old WHERE a.delivery_id = old.id
    ), gone AS (
        DELETE FROM notifications.delivery AS d USING old WHERE d.id = old.id RETURNING d.message_id
    )
    SELECT (SELECT count(*) FROM gone) AS forgotten, (SELECT max(settled_at) FROM old) AS newest,
           ARRAY(SELECT DISTINCT message_id FROM gone) AS message_ids"""
FORGET_MESSAGES: Final = """
    DELETE FROM notifications.message AS m
    WHERE m.id = ANY ($1) AND NOT EXISTS (SELECT FROM notifications.delivery AS d WHERE d.message_id = m.id)"""
FORGET_KEYS: Final = """
    WITH old AS MATERIALIZED (
        SELECT client, key, created_at FROM notifications.idempotency
        WHERE created_at >= $1 AND created_at < now() - make_interval(days => $2) ORDER BY created_at LIMIT $3
    ), gone AS (
        DELETE FROM notifications.idempotency AS i USING old WHERE (i.client, i.key) = (old.client, old.key) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) AS forgotten, (SELECT max(created_at) FROM old) AS newest"""

# What an endpoint that is gone was still to get, and what has been due for so long without a resumption.
CANCEL: Final = """
    UPDATE notifications.delivery SET status = 'cancelled', settled_at = now(), lease_token = NULL
    WHERE id IN (
        SELECT d.id FROM notifications.endpoint AS e CROSS JOIN LATERAL (
            SELECT id FROM notifications.delivery
            WHERE endpoint_id = e.id AND status = 'pending' AND next_attempt_at <
                CASE WHEN e.status = 'deleted' THEN 'infinity' ELSE now() - make_interval(days => $2) END
            ORDER BY next_attempt_at, id LIMIT $1) AS d
        WHERE e.status <> 'active' LIMIT $1)"""
FORGET_ENDPOINTS: Final = """
    DELETE FROM notifications.endpoint WHERE id IN (
        SELECT id FROM notifications.endpoint AS e
        WHERE status = 'deleted' AND updated_at < now() - make_interval(days => $2)
          AND NOT EXISTS (SELECT FROM notifications.delivery WHERE endpoint_id = e.id) LIMIT $1)"""
FORGET_SECRETS: Final = """
    DELETE FROM notifications.endpoint_secret WHERE id IN (
        SELECT id FROM notifications.endpoint_secret
        WHERE expires_at < now() - make_interval(days => $2) ORDER BY expires_at LIMIT $1)"""


class DeliveryForgetting:
    """Forgets deliveries that were settled more than *days* ago, with their attempts, and remembers how far it is.

    With the last delivery of a message the message goes too: so only one instance may do it at a time.
    """

    def __init__(self, days: int, *, lot: int = LOT) -> None:
        self._days = days
        self._lot = lot
        self._since = _BEGINNING

    async def forget_lot(self, turn: Turn) -> int:
        """Delete one lot; return how many deliveries there were. After a lot that was not full it begins anew."""
        async with turn.transaction() as tx:
            row = await tx.connection.fetchrow(FORGET_DELIVERIES, self._since, self._days, self._lot)
            assert row is not None
            await tx.connection.execute(FORGET_MESSAGES, row["message_ids"])
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= self._lot else _BEGINNING
        return forgotten


class KeyForgetting:
    """Forgets idempotency keys that are older than *days*, and remembers how far it is."""

    def __init__(self, days: int, *, lot: int = LOT) -> None:
        self._days = days
        self._lot = lot
        self._since = _BEGINNING

    async def forget_lot(self, turn: Turn) -> int:
        """Delete one lot; return how many keys there were. After a lot that was not full it begins anew."""
        async with turn.transaction() as tx:
            row = await tx.connection.fetchrow(FORGET_KEYS, self._since, self._days, self._lot)
        assert row is not None
        forgotten: int = row["forgotten"]
        self._since = row["newest"] if forgotten >= self._lot else _BEGINNING
        return forgotten


class Clearing:
    """Runs *statements* that take a lot's size and *days*, each in a transaction of its own."""

    def __init__(self, statements: Sequence[str], days: int, *, lot: int = LOT) -> None:
        self._statements = statements
        self._days = days
        self._lot = lot

    async def clear_lot(self, turn: Turn) -> int:
        """Do one lot of each; return how many rows the fullest had."""
        rows = [0]
        for statement in self._statements:
            async with turn.transaction() as tx:
                rows.append(await _rows(tx.connection, statement, self._lot, self._days))
        return max(rows)


async def _rows(connection: Connection, statement: str, *arguments: Any) -> int:
    tag = await connection.execute(statement, *arguments)
    return int(tag.rpartition(" ")[2])
