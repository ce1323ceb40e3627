"""Who PostgreSQL runs as, and where that account may go.

PostgreSQL refuses to run as root. Then it runs as an account without rights, which often cannot enter the checkout (a
clone under /root, a folder of mode 0700); its binaries and data are then in a folder of our own that it can enter.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from engines import checkout
from engines.errors import EngineError

HOME_VARIABLE = "LOCAL_STACK_HOME"
UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """An account a child process changes to before it starts."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Return the account to change to, or None if the current user has no more rights than it should."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        message = f"PostgreSQL does not run as root, and this machine has no account {UNPRIVILEGED!r}: add it"
        raise EngineError(message) from error
    return Account(entry.pw_uid, entry.pw_gid)


def can_enter(account: Account | None, folder: Path) -> bool:
    """Return whether *account* may pass every folder from the root down to *folder* (those that exist)."""
    if account is None:
        return True
    existing = [each for each in (folder, *folder.parents) if each.exists()]
    return all(_may_pass(account, each.stat()) for each in existing)


def _may_pass(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def home_for(account: Account | None, state: Path = checkout.STATE) -> Path:
    """Return the folder for binaries and data: *state* where *account* may go, else one of our own outside."""
    chosen = os.environ.get(HOME_VARIABLE)
    outside = Path("/var/lib") / checkout.unique_name(state)
    home = Path(chosen) if chosen else state if can_enter(account, state) else outside
    make_passable(home)
    if not can_enter(account, home):
        raise EngineError(f"PostgreSQL's account cannot enter {home}: point {HOME_VARIABLE} at a folder that it can")
    return home


def make_passable(folder: Path) -> None:
    """Make *folder* with the parents that are missing, open to pass through whatever the umask; existing ones stay."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o711)


def hand_over(folder: Path, account: Account | None) -> None:
    """Give a folder that we made, and nobody else uses, to *account*."""
    folder.chmod(0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
