"""A tenant's own rates: their rows, and how they are replaced."""

from collections.abc import Mapping
from uuid import UUID

from access.domain.limits import Rate, RateLimits
from access.identities.recording import Done, Recorder
from servicekit.postgres import Connection, Transaction

_LOCK_CLASS = 22
"""Of the advisory locks under which a tenant's rates are replaced."""


class Limits:
    """Commands on rates."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def put(self, tx: Transaction, tenant_id: UUID, rates: Mapping[str, Rate]) -> Done[RateLimits]:
        """Replace all rates of a tenant; where they are so already nothing changes."""
        await tx.connection.execute(
            "select pg_advisory_xact_lock($1, hashtext($2::uuid::text))", _LOCK_CLASS, tenant_id
        )
        wanted = RateLimits(tenant_id=tenant_id, rates=dict(rates))
        if await find_limits(tx.connection, tenant_id) == wanted:
            return Done(wanted)
        await tx.connection.execute("delete from access.rate_limit_policy where tenant_id = $1", tenant_id)
        await tx.connection.executemany(
            "insert into access.rate_limit_policy (tenant_id, name, per_s, burst) values ($1, $2, $3, $4)",
            [(tenant_id, name, rate.per_s, rate.burst) for name, rate in rates.items()],
        )
        return Done(wanted, await self._recorder.record(tx, wanted, now=await self._recorder.now(tx)))


async def find_limits(connection: Connection, tenant_id: UUID) -> RateLimits:
    """Return the tenant's own rates, none where it has none."""
    rows = await connection.fetch(
        "select name, per_s, burst from access.rate_limit_policy where tenant_id = $1 order by name", tenant_id
    )
    rates = {row["name"]: Rate(per_s=row["per_s"], burst=row["burst"]) for row in rows}
    return RateLimits(tenant_id=tenant_id, rates=rates)
