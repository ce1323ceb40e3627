"""A streaming standby of a server of ours; named in `synchronous_standby_names` it is waited for."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from engines import accounts
from engines.daemon import Command, tethered
from engines.errors import EngineError
from engines.ports import free_ports
from engines.postgres import PostgresServer
from testkit.waiting import eventually

STANDBY: Final = "standby"
"""Its `application_name`: how the primary knows it."""


@dataclass(kw_only=True, slots=True)
class PostgresStandby(PostgresServer):
    """A standby of *primary*, which runs while the copy is made."""

    primary: PostgresServer

    def prepare(self) -> None:
        """Copy the primary once; what was cut short is begun again."""
        if self.data.exists():
            return
        accounts.make_passable(self.folder)
        partial = self.folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        accounts.hand_over(partial, self.binaries.account)
        shutil.copy2(self.primary.folder / "password", self.folder / "password")
        self._copy_to(partial)
        partial.rename(self.data)

    def _copy_to(self, data: Path) -> None:
        source = f"{self.primary.admin_dsn}?application_name={STANDBY}"
        argv = (self.binaries / "pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-D", str(data), "-d", source)
        command = Command(name="pg_basebackup", argv=argv, log=self.log, account=self.binaries.account)
        done = subprocess.run(tethered(command), cwd=data, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"pg_basebackup failed into {data}:\n{done.stdout}{done.stderr}")


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
