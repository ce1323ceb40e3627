"""A streaming standby of a server of ours; named in `synchronous_standby_names` it is waited for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from engines.ports import free_ports
from engines.postgres import PostgresServer
from engines.standby import STANDBY, PostgresStandby
from testkit.waiting import eventually


@contextmanager
def running_standby(primary: PostgresServer, folder: Path) -> Iterator[PostgresStandby]:
    """Run a standby of *primary* under *folder*, and end it without ceremony."""
    (port,) = free_ports(1)
    standby = PostgresStandby(
        folder=folder / STANDBY,
        port=port,
        log=folder / f"{STANDBY}.log",
        binaries=primary.binaries,
        settings=primary.settings,
        primary=primary,
    )
    standby.start()
    try:
        yield standby
    finally:
        standby.kill()


async def name_standbys(admin: asyncpg.Connection, names: str) -> None:
    """Set `synchronous_standby_names` of the server that *admin* is a superuser's session of, and see it known."""
    await admin.execute(f"alter system set synchronous_standby_names = '{names}'")
    await admin.execute("select pg_reload_conf()")

    async def is_known() -> bool:
        return bool(await admin.fetchval("show synchronous_standby_names") == names)

    await eventually(is_known)


async def until_synchronous(admin: asyncpg.Connection) -> None:
    """Return once the primary waits for the standby, and the standby has all."""

    async def is_synchronous() -> bool:
        state = await admin.fetchval("select sync_state from pg_stat_replication where application_name = $1", STANDBY)
        return bool(state == "sync")

    await eventually(is_synchronous)


async def promote(standby: PostgresServer) -> None:
    """Make *standby* a primary of its own."""
    admin = await asyncpg.connect(standby.admin_dsn)
    try:
        assert await admin.fetchval("select pg_promote()"), "the standby was not promoted in time"
    finally:
        await admin.close()
