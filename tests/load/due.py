"""Holds that end by themselves: as many as there may be at once, and what a hold costs among a million open ones."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry
from tests.load import committing, money
from tests.load.database import Bench, connected, make_room, prepared
from tests.load.series import Rate, Series

from engines.postgres import PostgresServer
from servicekit.clock import monotonic_s, utc_now
from servicekit.maintenance import JobRun
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.metrics import SweepMetrics
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.holds import HOLD, PAYMENT, Hold
from wallet.sweeping.due_postgres import LOT_MAX
from wallet.sweeping.sweeper import Sweeper

FEW: Final = 1_000
_AMOUNT_MINOR: Final = 100
_SWEEP_DEADLINE_S: Final = 3.0
_ADD_HOLDS: Final = """
    insert into wallet.state (kind, id, tenant_id, wallet_id, status, cap_minor, used_minor, due_at, version,
                              changed_at, body, stamp)
    select $1::smallint, (substr(uuidv7()::text, 1, 34) || substr(w.id::text, 35))::uuid, w.tenant_id, w.id, 0, $2, 0,
           $3::timestamptz - make_interval(secs => n * 0.00001), 1, now(), $4, random(0, 9223372036854775807)
      from unnest($5::uuid[]) with ordinality as known(id, place)
      join generate_series(0, $6::int - 1) n on n % cardinality($5::uuid[]) = place - 1
      join wallet.wallet w on w.id = known.id"""
_RESERVE: Final = """
    update wallet.wallet w
       set held_minor = held.minor
      from (select wallet_id, sum(cap_minor - used_minor) as minor from wallet.state
             where kind = $1 and status = 0 group by wallet_id) held
     where w.id = held.wallet_id"""


async def measure(
    running: PostgresServer, series: Series, *, due: int, still_open: int, rounds: int, seconds: float
) -> None:
    """Add to *series*: *due* holds ending at once beside transfers; holds among *still_open* beside among few."""
    async with prepared(running) as bench, prepared(running) as crowded, prepared(running) as calm:
        later = utc_now() + timedelta(days=1)
        await _add_holds(crowded, still_open, later)
        await _add_holds(calm, min(FEW, still_open), later)
        for _ in range(rounds):
            for name, where in (("calm", calm), ("crowded", crowded)):
                series.add(f"due among-{name}", await _pairs(where, seconds))
            await _add_holds(bench, due, utc_now())
            series.add("due expired", await _expired(bench, due))
            await make_room(bench.database.dsn_admin)
            series.add("due transfers", await _transfers(bench, seconds))


async def _add_holds(bench: Bench, count: int, due_at: datetime) -> None:
    """Add *count* open holds of the wallets, each due a little before the one before."""
    now = utc_now()
    hold = Hold(currency="USD", purpose=PAYMENT, client=committing.TENANT, placed_at=now, expires_at=due_at)
    wallets: Sequence[UUID] = [UUID(text) for text in bench.wallet_ids]
    async with connected(bench.database.dsn_admin) as connection:
        body = msgspec.json.encode(hold)
        await connection.execute(_ADD_HOLDS, HOLD.number, _AMOUNT_MINOR, due_at, body, wallets, count, timeout=300)
        await connection.execute(_RESERVE, HOLD.number, timeout=300)
        await connection.execute("vacuum (analyze) wallet.state", timeout=300)


async def _expired(bench: Bench, due: int) -> Rate:
    """Sweep, lot after lot, until nothing is due; return the holds a second."""
    await make_room(bench.database.dsn_admin)
    done = 0
    async with committing.committer(_ledger(bench)) as queue, connected(bench.database.dsn_app) as connection:
        sweeper = Sweeper(queue, metrics=SweepMetrics(CollectorRegistry()), deadline_s=_SWEEP_DEADLINE_S)
        began_s = monotonic_s()
        while (lot := await sweeper.sweep(JobRun(connection, None))) >= LOT_MAX:
            done += lot
        elapsed_s = monotonic_s() - began_s
    assert done + lot == due, f"{done + lot:,} of {due:,} holds ended"
    return Rate(due / elapsed_s)


async def _transfers(bench: Bench, seconds: float) -> Rate:
    return await committing.rate(_ledger(bench), bench.wallet_ids, hot=False, ahead=True, seconds=seconds)


async def _pairs(bench: Bench, seconds: float) -> Rate:
    """Place holds and capture them among those that are open."""
    await make_room(bench.database.dsn_admin)
    ids = [UUID(text) for text in bench.wallet_ids]
    async with committing.committer(_ledger(bench)) as queue:
        make_unit = money.Holds(ids)
        enough = money.PRIMING_ROUNDS * len(ids)
        await committing.drive(queue, make_unit, is_enough=lambda done: done >= enough)
        return await committing.timed(queue, make_unit, seconds)


def _ledger(bench: Bench) -> PostgresLedger:
    return PostgresLedger(bench.database.dsn_app, kinds=CATALOG.kinds)
