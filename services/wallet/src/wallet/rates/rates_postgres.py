"""The table of rates, as the instance writes it that fetches them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from servicekit.postgres import Transaction
from wallet.domain.fx import PublishedRate
from wallet.rates.documents import RateDocument

_KNOWN: Final = "select currency, rate, as_of from wallet.fx_rate where source = $1 and base = $2"
_NOW: Final = "select clock_timestamp()"
_KEEP: Final = """
    insert into wallet.fx_rate (source, base, currency, rate, as_of, fetched_at)
    select $1, $2, u.currency, u.rate, $3, clock_timestamp()
      from unnest($4::text[], $5::numeric[]) u (currency, rate)
        on conflict (source, base, currency) do update
       set rate = excluded.rate, as_of = excluded.as_of, fetched_at = excluded.fetched_at"""


async def clock(tx: Transaction) -> datetime:
    """Return the database's clock."""
    now: datetime = await tx.connection.fetchval(_NOW)
    return now


async def known_rates(tx: Transaction, source: str, base: str) -> dict[str, PublishedRate]:
    """Return the rates of *source* against *base* by currency, however old."""
    rows = await tx.connection.fetch(_KNOWN, source, base)
    return {row["currency"]: PublishedRate(row["rate"], row["as_of"]) for row in rows}


async def keep_rates(tx: Transaction, document: RateDocument, taken: Mapping[str, Decimal]) -> None:
    """Write the rates that were *taken* of *document*."""
    await tx.connection.execute(
        _KEEP, document.source, document.base, document.as_of, list(taken.keys()), list(taken.values())
    )
