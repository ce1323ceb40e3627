"""The commands as they are typed: what they need, and what they say where it is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from engines import checkout
from local_stack import beside, state
from release import commits
from release.book import Book
from release.domain.moves import Record, Release
from release.errors import ReleaseFailed


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "release", *words],
        env={"LOCAL_STACK_STATE": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [("deploy", "--to", "HEAD"), ("rollback",), ("contract", "--yes"), ("status",)])
def test_without_a_whole_stack_a_command_says_what_to_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = typed(tmp_path, *command)

    assert done.returncode == 1
    assert done.stderr == "error: no whole stack runs here: start one with `make up FULL=1 DETACH=1`\n"
    assert [each.name for each in tmp_path.iterdir()] in ([], ["stack.lock"])


def test_one_command_at_a_time_changes_something(tmp_path: Path) -> None:
    handle = state.take(beside.folder(tmp_path) / "command.lock")
    assert handle is not None

    with handle, pytest.raises(ReleaseFailed, match="another command is under way"), Book(tmp_path).alone():
        pass
    with Book(tmp_path).alone():
        pass


def test_a_record_is_kept_between_commands(tmp_path: Path) -> None:
    book = Book(tmp_path)
    record = Record(stack="1-1.0", serving=Release(name="blue", commit="b" * 40, shift=0, is_own=True))
    before = book.read()

    book.write(record)

    assert (before, Book(tmp_path).read()) == (None, record)
    assert book.file.stat().st_mode & 0o077 == 0


def test_a_commit_that_is_not_here_is_told() -> None:
    with pytest.raises(ReleaseFailed, match=r"(git log|git fetch|install git)"):
        commits.find("no-such-branch")


def test_services_are_as_another_python_declares_them() -> None:
    told = {"name": "new", "migrate": ["python"], "unknown_here": 1, "processes": []}

    found = commits._service({**told, "processes": [{**_PROCESS, "unknown_here": 1}]})

    assert (found.name, found.migrate, found.processes[0].argv) == ("new", ("python",), ("a", "b"))


_PROCESS = {"name": "new-api", "argv": ["a", "b"], "port_variable": "NEW_API_PORT", "port": 9000}


def test_builds_stand_below_what_git_ignores() -> None:
    assert commits.folder_of("1f0c").is_relative_to(checkout.STATE)
