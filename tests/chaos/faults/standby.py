"""Acknowledged means replicated: the synchronous standby is cut off, the primary dies, the standby takes over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import asyncpg
from tests.chaos.load.history import Command
from tests.chaos.load.workload import Client
from tests.chaos.platform.plant import Plant, Rewrite, rewritten
from tests.chaos.run import Bite, Fault, Run

from engines.postgres import PostgresServer
from engines.standby import STANDBY
from testkit.databases import Database
from testkit.proxy import Proxy
from testkit.standby import name_standbys, promote, running_standby, until_synchronous

OPENINGS = 8
"""A repeat of an opening locks no row: of all found records these have nothing but the barrier to wait by."""
REPEATED_S = 2.5
POLL_S = 0.02
_WAITING = """
    select pid from pg_stat_activity
    where datname = current_database() and application_name = 'wallet-committer' and wait_event = 'SyncRep'"""
_KEYS = "select key from wallet.idempotency"
_THERE = "select count(*) from wallet.wallet where id = $1"
_BARRIER = Rewrite("wallet.lock_rows_2", "if records is not null and current_setting", "if false and current_setting")


class Failover:
    """A standby beside each run's PostgreSQL, and a proxy that leads to the one that is the primary."""

    def __init__(self) -> None:
        self._standby: PostgresServer | None = None
        self._proxy: Proxy | None = None

    @asynccontextmanager
    async def beside(self, run: Run) -> AsyncIterator[None]:
        """Have the primary wait for a standby, and every process reach it through the proxy."""
        platform, primary = run.platform, run.platform.postgres
        keep = platform.site.keep
        self._proxy = Proxy(primary.port)
        standby_cm = running_standby(primary, platform.folder)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._proxy.listening())
            self._standby = await keep(standby_cm.__enter__)
            stack.push_async_callback(keep, lambda: standby_cm.__exit__(None, None, None))
            stack.push_async_callback(_restored, run, primary, dict(platform.databases))
            async with _session(primary.admin_dsn) as admin:
                await name_standbys(admin, STANDBY)
                await until_synchronous(admin)
            await platform.start_through(self._proxy.port)
            yield

    async def fail_over(self, run: Run) -> Bite:
        """F40: cut the standby off, end waits in two ways, kill the primary, promote; keys are repeated meanwhile."""
        assert self._standby is not None
        assert self._proxy is not None
        keep, primary = run.platform.site.keep, run.platform.postgres
        async with run.bank.paused():
            await keep(self._standby.kill)  # stopped alone it would find in its socket what it has not acknowledged
            opening = [asyncio.create_task(_opened(run)) for _ in range(OPENINGS)]
            terminated = await _terminate_waiting(run)
        await asyncio.sleep(REPEATED_S)
        await keep(primary.kill)
        await keep(primary.start)
        await asyncio.sleep(REPEATED_S)
        visible = await _keys(run)
        bitten_s = time.monotonic()
        await keep(primary.kill)
        await keep(self._standby.start)
        await promote(self._standby)
        _observe_at(run, self._standby)
        self._proxy.redirect(self._standby.port)
        lost = len(visible - await _keys(run))
        recovery_s = await run.recovery_s(bitten_s)
        return Bite(
            what=f"{terminated} commits terminated while they waited for the standby; {lost} keys of {len(visible)} "
            "were on the old primary alone",
            count=min(terminated, lost),
            recovery_s=recovery_s,
            breaches=await _missing(run, [await each for each in opening]),
        )


@asynccontextmanager
async def _session(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


async def _restored(run: Run, primary: PostgresServer, databases: dict[str, Database]) -> None:
    """Bring the primary back for whoever comes next: it waits for nobody any more."""
    run.platform.databases.update(databases)
    await run.platform.close()
    await run.platform.site.keep(primary.kill)
    await run.platform.site.keep(primary.start)
    async with _session(primary.admin_dsn) as admin:
        await name_standbys(admin, "")


def _observe_at(run: Run, server: PostgresServer) -> None:
    """Have the run's databases be those of *server* from here."""
    ports = (f":{run.platform.postgres.port}/", f":{server.port}/")
    for service, each in run.platform.databases.items():
        moved = {name: getattr(each, name).replace(*ports) for name in ("dsn_owner", "dsn_app", "dsn_admin")}
        run.platform.databases[service] = replace(each, **moved)


async def _terminate_waiting(run: Run) -> int:
    """End every session of a committer that waits for the standby, for a while; return how many there were.

    Who waits for the standby holds the commit lock: so whoever is next finds what the one before has left visible.
    """
    terminated = 0
    until_s = time.monotonic() + REPEATED_S
    async with _session(run.platform.databases["wallet"].dsn_admin) as admin:
        while time.monotonic() < until_s:
            for row in await admin.fetch(_WAITING):
                terminated += await admin.fetchval("select pg_terminate_backend($1)", row["pid"])
            await asyncio.sleep(POLL_S)
    return terminated


async def _keys(run: Run) -> set[str]:
    async with _session(run.platform.databases["wallet"].dsn_admin) as admin:
        return {row["key"] for row in await admin.fetch(_KEYS)}


async def _opened(run: Run) -> str | None:
    """Open a wallet, asking under one key until it is told; return the wallet that the client was told of first."""
    body = {"owner_id": "owner-f40", "currency": "USD"}
    client = Client(run.bank, run.chance)
    try:
        done = await client.settle(Command("open", run.bank.key("open"), "/v1/wallets", body))
    finally:
        client.close()
    return None if done is None else str(done.answer.json()["id"])


async def _missing(run: Run, opened: list[str | None]) -> list[str]:
    async with _session(run.platform.databases["wallet"].dsn_admin) as admin:
        return [
            f"a client was told that wallet {wallet_id} is open, and it is not there"
            for wallet_id in opened
            if wallet_id is not None and not await admin.fetchval(_THERE, wallet_id)
        ]


_failover, _without_barrier = Failover(), Failover()
FAULTS = (
    Fault(
        id="F40",
        title="the synchronous standby cut off, the primary killed, the standby promoted",
        inflict=_failover.fail_over,
        beside=_failover.beside,
    ),
)
PLANTED = (
    Fault(
        id="F40-no-barrier",
        title="a found key answered without waiting for the standby",
        inflict=_without_barrier.fail_over,
        beside=_without_barrier.beside,
        has_policy=False,
        plant=Plant(
            caught_by=frozenset({"own"}),
            prepare=rewritten(_BARRIER),
            patience_s=45.0,
            besides=frozenset({"I4", "I5", "I6", "I10"}),
        ),
    ),
)
