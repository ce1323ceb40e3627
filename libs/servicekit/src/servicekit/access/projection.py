"""The projection of `access.events`: the last state of each entity, in each service's own database."""

from collections.abc import Sequence
from importlib import resources
from typing import Final

from contracts.access import ACCESS_STREAM, AccessData, IssuerChanged
from contracts.envelope import Envelope
from contracts.topics import ACCESS_EVENTS
from servicekit.migrations import MigrationSource
from servicekit.postgres import Transaction

_LOCK: Final = "select pg_advisory_xact_lock(12)"
"""Held until the transaction ends, so that changes become visible in the order of their numbers."""
_UPSERT: Final = """
    insert into servicekit.access_entity as e (id, kind, tenant_id, lookup, body, change)
    select n.id, n.kind, n.tenant_id, n.lookup, n.body,
           (select coalesce(max(change), 0) from servicekit.access_entity) + n.ordinal
    from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::bytea[]) with ordinality
         as n (id, kind, tenant_id, lookup, body, ordinal)
    on conflict (id) do update
        set kind = excluded.kind, tenant_id = excluded.tenant_id, lookup = excluded.lookup, body = excluded.body,
            change = excluded.change"""


def access_source() -> MigrationSource:
    """Return the migrations of what a service knows of identities, for every service with an API."""
    return MigrationSource("servicekit.access", resources.files("servicekit") / "sql" / "access")


def access_projection_name(service: str) -> str:
    """Return the name of the projection of *service* (its slug), which is also its consumer group."""
    return f"{service}-access"


class AccessProjection:
    """Keeps the last state of each entity. *name* is also its consumer group."""

    def __init__(self, name: str, topic: str = ACCESS_EVENTS.name) -> None:
        self.name = name
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Write what *events* leave of their entities. Raises EventDataError for a body that does not fit its type."""
        last = {event.subject: event for event in events}
        bodies = [ACCESS_STREAM.parse(event.type, event.data) for event in last.values()]
        await tx.connection.execute(_LOCK)
        await tx.connection.execute(
            _UPSERT,
            list(last),
            [ACCESS_STREAM.types[event.type].number for event in last.values()],
            [event.tenant_id for event in last.values()],
            [_lookup(body) for body in bodies],
            [event.data for event in last.values()],
        )


def make_access_projection(service: str, topic: str) -> AccessProjection:
    """Return the projection that the consumer process of *service* (its slug) feeds from *topic*."""
    return AccessProjection(access_projection_name(service), topic)


def _lookup(body: AccessData) -> str | None:
    return body.issuer if isinstance(body, IssuerChanged) else None
