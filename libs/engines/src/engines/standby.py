"""A streaming standby of a server of ours, made by `pg_basebackup`."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines import accounts
from engines.daemon import Command, tethered
from engines.errors import EngineError
from engines.postgres import PostgresServer

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
