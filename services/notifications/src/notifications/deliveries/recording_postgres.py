"""Deliveries as the projection records them, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope
from notifications.deliveries.rows import Message, NewDelivery
from notifications.domain.versions import Newest
from servicekit.columns import columns
from servicekit.postgres import Transaction

# Endpoints for all wallets are few; those for some are found from the wallet.
_MATCHES: Final = """
    with event as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::bigint[])
            with ordinality as e (tenant_id, wallet_id, type, shard, seq, number)
    )
    select event.number - 1 as number, endpoint.id
    from event join notifications.endpoint on endpoint.tenant_id = event.tenant_id and not endpoint.has_wallets
    where endpoint.status in ('active', 'paused') and event.seq > endpoint.from_seqs[event.shard + 1]
      and (endpoint.event_types = '{}' or event.type = any (endpoint.event_types))
    union all
    select event.number - 1, endpoint.id
    from event
    join notifications.endpoint_wallet as w on w.tenant_id = event.tenant_id and w.wallet_id = event.wallet_id
    join notifications.endpoint on endpoint.id = w.endpoint_id
    where endpoint.status in ('active', 'paused') and event.seq > endpoint.from_seqs[event.shard + 1]
      and (endpoint.event_types = '{}' or event.type = any (endpoint.event_types))
    order by number"""

_ADD_MESSAGES: Final = """
    insert into notifications.message (id, tenant_id, type, wallet_id, body, traceparent, occurred_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[], $6::text[], $7::timestamptz[])
        as new (id, tenant_id, type, wallet_id, body, traceparent, occurred_at)
    on conflict (id) do nothing"""

_ADD_DELIVERIES: Final = """
    insert into notifications.delivery
        (id, tenant_id, endpoint_id, message_id, type, status, next_attempt_at, created_at)
    select new.*, 'pending', now(), now()
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[])
        as new (id, tenant_id, endpoint_id, message_id, type)
    on conflict (endpoint_id, message_id) do nothing"""


class PostgresRecorder:
    """Adds messages and deliveries."""

    async def versions(self, tx: Transaction, wallet_ids: Sequence[UUID]) -> dict[UUID, Newest]:
        """Return the newest versions of the known ones of *wallet_ids*."""
        rows = await tx.connection.fetch(
            "select wallet_id, version, seq from notifications.wallet_version where wallet_id = any ($1)", wallet_ids
        )
        return {row["wallet_id"]: Newest(row["version"], row["seq"]) for row in rows}

    async def keep_versions(self, tx: Transaction, versions: Mapping[UUID, Newest]) -> None:
        """Write the newest versions."""
        await tx.connection.execute(
            """insert into notifications.wallet_version (wallet_id, version, seq)
               select * from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as new (wallet_id, version, seq)
               order by wallet_id
               on conflict (wallet_id) do update set version = excluded.version, seq = excluded.seq""",
            list(versions),
            [newest.version for newest in versions.values()],
            [newest.sequence for newest in versions.values()],
        )

    async def matches(self, tx: Transaction, events: Sequence[Envelope]) -> list[tuple[int, UUID]]:
        """Return (index into *events*, endpoint) for every endpoint that wants an event."""
        if not events:
            return []
        rows = await tx.connection.fetch(
            _MATCHES,
            *columns(events, "tenant_id", "subject", "type", "shard", "sequence"),
        )
        return [(row["number"], row["id"]) for row in rows]

    async def add(self, tx: Transaction, messages: Sequence[Message], deliveries: Sequence[NewDelivery]) -> None:
        """Add what is not there yet; an endpoint and a message have one delivery."""
        await tx.connection.execute(
            _ADD_MESSAGES,
            *columns(messages, "id", "tenant_id", "type", "wallet_id", "body", "traceparent", "occurred_at"),
        )
        await tx.connection.execute(
            _ADD_DELIVERIES,
            *columns(deliveries, "id", "tenant_id", "endpoint_id", "message_id", "type"),
        )
