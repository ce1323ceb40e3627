"""What waits to be sent, measured for its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from notifications.domain.outcomes import EndpointStatus
from servicekit.postgres import Connection

BACKLOG_COUNTED_MAX: Final = 100_000
"""Of all endpoints together."""

# Counted up to a bound over all endpoints; the oldest is the first of some endpoint.
BACKLOG: Final = f"""
    select
        (select count(*) from (
            select from notifications.endpoint as e cross join lateral (
                select from notifications.delivery as d
                where d.endpoint_id = e.id and d.status = 'pending' and d.next_attempt_at <= now()
                order by d.next_attempt_at, d.id limit {BACKLOG_COUNTED_MAX}) as due
            where e.status = 'active' limit {BACKLOG_COUNTED_MAX}) as counted) as due,
        (select coalesce(greatest(0, extract(epoch from now() - min(first.next_attempt_at))), 0)::float8
         from notifications.endpoint as e cross join lateral (
            select d.next_attempt_at from notifications.delivery as d
            where d.endpoint_id = e.id and d.status = 'pending' and d.next_attempt_at <= now()
            order by d.next_attempt_at, d.id limit 1) as first
         where e.status = 'active') as oldest_s"""


_HELD: Final = f"""
    select count(*) from (
        select from notifications.endpoint as e cross join lateral (
            select from notifications.delivery as d
            where d.endpoint_id = e.id and d.status = 'pending' and {{delivery}} limit {BACKLOG_COUNTED_MAX}) as held
        where {{endpoint}} limit {BACKLOG_COUNTED_MAX}) as counted"""
HELD: Final = {
    "paused": _HELD.format(endpoint="e.status = 'paused'", delivery="true"),
    "retrying": _HELD.format(
        endpoint="e.status = 'active' and e.failing_since is not null",
        delivery="d.next_attempt_at > now() and d.lease_token is null",
    ),
}
"""The statement that counts what waits, by the reason why it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is due and not attempted yet, counted up to a bound; the oldest's age in seconds; endpoints by status.

    *held* is what waits for a paused endpoint, or for the next attempt at a failing one, up to the same bound.
    """

    due: int
    oldest_s: float
    endpoints: Mapping[str, int]
    held: Mapping[str, int]


async def measured(connection: Connection) -> Backlog:
    """Return what waits now."""
    row = await connection.fetchrow(BACKLOG)
    counts = await connection.fetch("select status, count(*) as n from notifications.endpoint group by status")
    assert row is not None
    endpoints = {count["status"]: count["n"] for count in counts}
    held = {reason: await connection.fetchval(statement) for reason, statement in HELD.items()}
    return Backlog(due=row["due"], oldest_s=row["oldest_s"], endpoints=endpoints, held=held)


class BacklogMetrics:
    """What waits, and for whom, as Prometheus metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._due = Gauge(
            "webhook_deliveries_due", "Deliveries that are due and not begun, counted up to 100,000.", registry=registry
        )
        self._oldest = Gauge(
            "webhook_deliveries_due_oldest_seconds", "How long the oldest of them is due.", registry=registry
        )
        self._held = Gauge(
            "webhook_held",
            "Deliveries that wait for their endpoint, by reason, counted up to 100,000.",
            ["reason"],
            registry=registry,
        )
        self._endpoints = Gauge("webhook_endpoints", "Endpoints, by status.", ["status"], registry=registry)

    def backlog(self, backlog: Backlog) -> None:
        """Tell what waits."""
        self._due.set(backlog.due)
        self._oldest.set(backlog.oldest_s)
        for reason, count in backlog.held.items():
            self._held.labels(reason).set(count)
        for status in EndpointStatus:
            self._endpoints.labels(status.value).set(backlog.endpoints.get(status.value, 0))
