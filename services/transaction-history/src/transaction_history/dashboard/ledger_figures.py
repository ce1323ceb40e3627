"""What the whole ledger comes to, for dashboards of operators: told by the worker that leads, by currency alone.

The canary's tenant is left out: its transactions are the operators' own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contracts import canary
from contracts.money import EXPONENTS
from servicekit.clock import monotonic_s
from servicekit.maintenance import JobRun
from servicekit.postgres import Connection
from transaction_history.domain.dashboard import volume_minor
from transaction_history.indexing.projection import INDEX
from transaction_history.projection.read_model_postgres import SCHEMA

LEDGER_EVERY_S: Final = 15.0
SHOWN_FOR_S: Final = 4 * LEDGER_EVERY_S
"""Who no longer leads soon shows nothing: a figure is never that of two workers."""
TYPES_MAX: Final = 50
SERIES_MAX: Final = 600
"""Types in currencies that are told apart: both together could be thousands."""
OTHER: Final = "other"
"""The type of what is of none of the 50 that occur most, or too rare in its currency."""
DAYS_COUNTED_AGAIN: Final = timedelta(days=3)
"""Entries may be counted on a day that is over while the index is behind."""

_WALLETS: Final = f"""
    select currency, sum(wallets)::bigint as open, sum(posted) as posted
    from {INDEX}.shard_total where tenant_id <> $1 group by currency"""
_CLOSED: Final = f"""
    select currency, count(*) as closed
    from {SCHEMA}.wallet where status = 'closed' and tenant_id <> $1 group by currency"""
# From tenant to tenant by the key: no other index leads to a day.
_VOLUMES: Final = f"""
    with recursive tenant as (
        (select tenant_id from {INDEX}.day_total order by tenant_id limit 1)
        union all
        select (select tenant_id from {INDEX}.day_total where tenant_id > t.tenant_id order by tenant_id limit 1)
        from tenant as t where t.tenant_id is not null)
    select d.type, d.currency, sum(d.transactions)::bigint, sum(d.credits), sum(d.debits)
    from tenant cross join lateral (
        select * from {INDEX}.day_total where tenant_id = tenant.tenant_id and day >= $1 and day < $2) as d
    where tenant.tenant_id <> $3
    group by d.type, d.currency"""


class Traffic(NamedTuple):
    """Transactions, and what came in and went out, in minor units."""

    transactions: int
    credits_minor: int
    debits_minor: int

    def plus(self, other: "Traffic") -> "Traffic":
        return Traffic(*(one + another for one, another in zip(self, other, strict=True)))


_NOTHING: Final = Traffic(0, 0, 0)
_ByTypeAndCurrency = dict[tuple[str, str], Traffic]


class _Shown(NamedTuple):
    """What is told until *until_s* of the process's clock: wallets by currency and status, the rest in major units."""

    wallets: Mapping[tuple[str, str], int]
    funds: Mapping[str, Decimal]
    volumes: Mapping[tuple[str, str], Decimal]
    until_s: float


_NONE: Final = _Shown({}, {}, {}, 0.0)


class LedgerFigures(Collector):
    """Measures the ledger for as long as it is asked to, and tells at `/metrics` what it came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: _Shown | None = None
        self._past: _ByTypeAndCurrency = {}
        self._past_until = date.min
        registry.register(self)

    async def measure(self, run: JobRun) -> int:
        """Measure once."""
        wallets = await run.connection.fetch(_WALLETS, canary.TENANT_ID)
        closed = await run.connection.fetch(_CLOSED, canary.TENANT_ID)
        counts = {
            (row["currency"], status): row[status]
            for status, rows in (("open", wallets), ("closed", closed))
            for row in rows
        }
        self._shown = _Shown(
            wallets={key: count for key, count in counts.items() if key[0] in EXPONENTS},
            funds={
                row["currency"]: _major(int(row["posted"]), row["currency"])
                for row in wallets
                if row["currency"] in EXPONENTS
            },
            volumes=volumes_told(await self._traffic(run.connection)),
            until_s=monotonic_s() + SHOWN_FOR_S,
        )
        return 0

    async def _traffic(self, connection: Connection) -> _ByTypeAndCurrency:
        """Return all that ever happened: days that are long over are added up once."""
        now: datetime = await connection.fetchval("select clock_timestamp()")
        until = (now - DAYS_COUNTED_AGAIN).astimezone(UTC).date()
        if self._past_until < until:
            since = await _between(connection, self._past_until, until)
            self._past = _added(self._past, since)
            self._past_until = until
        recent = await _between(connection, self._past_until, date.max)
        return _added(self._past, recent)

    def collect(self) -> Iterator[Metric]:
        """Yield the figures, while they are young; families without any afterwards."""
        shown = self._shown
        if shown is None or monotonic_s() > shown.until_s:
            shown = _NONE
        wallets = GaugeMetricFamily("ledger_wallets", "Wallets, of all tenants.", labels=("currency", "status"))
        for key, count in shown.wallets.items():
            wallets.add_metric(key, count)
        funds = GaugeMetricFamily(
            "ledger_customer_funds", "What is in wallets, in major units, for display.", labels=("currency",)
        )
        for currency, amount in shown.funds.items():
            funds.add_metric((currency,), float(amount))
        volume = CounterMetricFamily(
            "ledger_volume", "What transactions came to, in major units, for display.", labels=("type", "currency")
        )
        for key, amount in shown.volumes.items():
            volume.add_metric(key, float(amount))
        yield from (wallets, funds, volume)


async def _between(connection: Connection, begin: date, end: date) -> _ByTypeAndCurrency:
    rows = await connection.fetch(_VOLUMES, begin, end, canary.TENANT_ID)
    return {
        (type_, currency): Traffic(transactions, int(credits_), int(debits))
        for type_, currency, transactions, credits_, debits in rows
    }


def _added(one: _ByTypeAndCurrency, other: _ByTypeAndCurrency) -> _ByTypeAndCurrency:
    return {key: one.get(key, _NOTHING).plus(other.get(key, _NOTHING)) for key in one.keys() | other.keys()}


def volumes_told(traffic: Mapping[tuple[str, str], Traffic]) -> dict[tuple[str, str], Decimal]:
    """Return the volumes by type and currency in major units, of so many types and no more."""
    counts: Counter[str] = Counter()
    of_currency: Counter[tuple[str, str]] = Counter()
    for (type_, currency), found in traffic.items():
        counts[type_] += found.transactions
        of_currency[type_, currency] = found.transactions
    types = {type_ for type_, _ in counts.most_common(TYPES_MAX)}
    named = {key for key, _ in of_currency.most_common(SERIES_MAX) if key[0] in types}
    told: dict[tuple[str, str], Decimal] = {}
    for (type_, currency), found in traffic.items():
        if currency in EXPONENTS:
            key = (type_ if (type_, currency) in named else OTHER, currency)
            volume = _major(volume_minor(found.credits_minor, found.debits_minor), currency)
            told[key] = told.get(key, Decimal()) + volume
    return told


def _major(amount_minor: int, currency: str) -> Decimal:
    return Decimal(amount_minor).scaleb(-EXPONENTS[currency])
