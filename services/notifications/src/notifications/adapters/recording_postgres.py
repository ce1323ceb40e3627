"""Deliveries as the projection records them, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope
from notifications.application.rows import Message, NewDelivery
from notifications.domain.versions import Newest
from servicekit.postgres import Transaction

# Endpoints for all wallets are few; those for some are found from the wallet.
_MATCHES: Final = """
    WITH event AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::bigint[])
            WITH ORDINALITY AS e (tenant_id, wallet_id, type, shard, seq, number)
    )
    SELECT event.number - 1 AS number, endpoint.id
    FROM event JOIN notifications.endpoint ON endpoint.tenant_id = event.tenant_id AND NOT endpoint.has_wallets
    WHERE endpoint.status IN ('active', 'paused') AND event.seq > endpoint.from_seqs[event.shard + 1]
      AND (endpoint.event_types = '{}' OR event.type = ANY (endpoint.event_types))
    UNION ALL
    SELECT event.number - 1, endpoint.id
    FROM event
    JOIN notifications.endpoint_wallet AS w ON w.tenant_id = event.tenant_id AND w.wallet_id = event.wallet_id
    JOIN notifications.endpoint ON endpoint.id = w.endpoint_id
    WHERE endpoint.status IN ('active', 'paused') AND event.seq > endpoint.from_seqs[event.shard + 1]
      AND (endpoint.event_types = '{}' OR event.type = ANY (endpoint.event_types))
    ORDER BY number"""

_ADD_MESSAGES: Final = """
    INSERT INTO notifications.message (id, tenant_id, type, wallet_id, body, traceparent, occurred_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::text[], $7::timestamptz[])
        AS new (id, tenant_id, type, wallet_id, body, traceparent, occurred_at)
    ON CONFLICT (id) DO NOTHING"""

_ADD_DELIVERIES: Final = """
    INSERT INTO notifications.delivery
        (id, tenant_id, endpoint_id, message_id, type, status, next_attempt_at, created_at)
    SELECT new.*, 'pending', now(), now()
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[])
        AS new (id, tenant_id, endpoint_id, message_id, type)
    ON CONFLICT (endpoint_id, message_id) DO NOTHING"""


class PostgresRecorder:
    """Adds messages and deliveries."""

    async def versions(self, tx: Transaction, wallet_ids: Sequence[UUID]) -> dict[UUID, Newest]:
        """Read as `Recorder.versions` says."""
        rows = await tx.connection.fetch(
            "SELECT wallet_id, version, seq FROM notifications.wallet_version WHERE wallet_id = ANY ($1)", wallet_ids
        )
        return {row["wallet_id"]: Newest(row["version"], row["seq"]) for row in rows}

    async def keep_versions(self, tx: Transaction, versions: Mapping[UUID, Newest]) -> None:
        """Write as `Recorder.keep_versions` says."""
        await tx.connection.execute(
            """INSERT INTO notifications.wallet_version (wallet_id, version, seq)
               SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS new (wallet_id, version, seq)
               ORDER BY wallet_id
               ON CONFLICT (wallet_id) DO UPDATE SET version = excluded.version, seq = excluded.seq""",
            list(versions),
            [newest.version for newest in versions.values()],
            [newest.sequence for newest in versions.values()],
        )

    async def matches(self, tx: Transaction, events: Sequence[Envelope]) -> list[tuple[int, UUID]]:
        """Find as `Recorder.matches` says."""
        if not events:
            return []
        rows = await tx.connection.fetch(
            _MATCHES,
            [event.tenant_id for event in events],
            [event.subject for event in events],
            [event.type for event in events],
            [event.shard for event in events],
            [event.sequence for event in events],
        )
        return [(row["number"], row["id"]) for row in rows]

    async def add(self, tx: Transaction, messages: Sequence[Message], deliveries: Sequence[NewDelivery]) -> None:
        """Add as `Recorder.add` says."""
        await tx.connection.execute(
            _ADD_MESSAGES,
            [message.id for message in messages],
            [message.tenant_id for message in messages],
            [message.type for message in messages],
            [message.wallet_id for message in messages],
            [message.body for message in messages],
            [message.traceparent for message in messages],
            [message.occurred_at for message in messages],
        )
        await tx.connection.execute(
            _ADD_DELIVERIES,
            [delivery.id for delivery in deliveries],
            [delivery.tenant_id for delivery in deliveries],
            [delivery.endpoint_id for delivery in deliveries],
            [delivery.message_id for delivery in deliveries],
            [delivery.type for delivery in deliveries],
        )
