"""The rates that are in force, as every instance reads them."""

from typing import Final
from uuid import UUID

from servicekit.clock import monotonic_s
from servicekit.tenant_pool import TenantPool
from wallet.domain.fx import PublishedRate, RateTable

REMEMBERED_S: Final = 1.0
# Of one source: the one that was fetched last.
_CURRENT: Final = """
    select r.source, r.base, r.currency, r.rate, r.as_of from wallet.fx_rate r
     where (r.source, r.base) = (select l.source, l.base from wallet.fx_rate l
                                  order by l.fetched_at desc, l.source, l.base limit 1)
       and r.as_of > clock_timestamp() - make_interval(secs => $1)"""


class FxRates:
    """Reads the rates that are at most *age_max_s* old, by the database's clock. Raises as `Pool.connection` does."""

    def __init__(self, tenants: TenantPool, *, age_max_s: float) -> None:
        self._tenants = tenants
        self._age_max_s = age_max_s
        self._read_s = float("-inf")
        self._table: RateTable | None = None

    async def current(self, tenant_id: UUID) -> RateTable | None:
        """Return the rates, which are no tenant's, read for *tenant_id* within the last second; None without any."""
        now_s = monotonic_s()
        if now_s - self._read_s >= REMEMBERED_S:
            async with self._tenants.reading(tenant_id) as connection:
                rows = await connection.fetch(_CURRENT, self._age_max_s)
            rates = {row["currency"]: PublishedRate(row["rate"], row["as_of"]) for row in rows}
            self._table = RateTable(rows[0]["source"], rows[0]["base"], rates) if rows else None
            self._read_s = now_s
        return self._table
