import os
from pathlib import Path

import pytest

from engines import accounts
from engines.accounts import Account
from engines.errors import EngineError

STRANGER = Account(uid=54321, gid=54321)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Give a folder inside one of mode 0700."""
    inside = tmp_path / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    return inside


def test_a_stranger_cannot_enter_a_folder_of_mode_0700(closed: Path) -> None:
    assert not accounts.can_enter(STRANGER, closed)
    assert accounts.can_enter(None, closed)


def test_without_a_change_of_account_the_state_folder_is_the_home(closed: Path) -> None:
    assert accounts.home_for(None, closed) == closed


def test_a_home_that_the_account_cannot_enter_is_an_error_that_names_the_variable(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(accounts.HOME_VARIABLE, str(closed))

    with pytest.raises(EngineError, match="LOCAL_STACK_HOME"):
        accounts.home_for(STRANGER, closed)


def test_folders_that_are_not_ours_keep_their_permissions(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(accounts.HOME_VARIABLE, str(closed / "new"))

    with pytest.raises(EngineError):
        accounts.home_for(STRANGER, closed)

    assert closed.parent.stat().st_mode & 0o777 == 0o700


def test_new_folders_can_be_passed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        accounts.make_passable(tmp_path / "a" / "b")
    finally:
        os.umask(before)

    assert [(tmp_path / each).stat().st_mode & 0o777 for each in ("a", "a/b")] == [0o711, 0o711]
