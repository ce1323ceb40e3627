from pathlib import Path

from engines import temporary
from testkit.databases import Server


def test_two_runs_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    with temporary.run_folder(tmp_path) as first, temporary.run_folder(tmp_path) as second:
        assert first != second
        assert first.exists()

    assert list((tmp_path / "runs").iterdir()) == []


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    left_behind = tmp_path / "runs" / "dead"
    left_behind.mkdir(parents=True)

    with temporary.run_folder(tmp_path):
        assert not left_behind.exists()


def test_an_address_keeps_the_server_and_changes_the_rest() -> None:
    server = Server("postgresql://postgres:secret@db.example:6543/postgres?sslmode=require")

    address = server.dsn("wallet_1", "wallet_app", "testkit")

    assert address == "postgresql://wallet_app:testkit@db.example:6543/wallet_1?sslmode=require"
