"""What is told of releases beside the stack, and what is ordered of those who run processes."""

from pathlib import Path

from local_stack import beside, state
from local_stack.beside import Beside, Running

TOLD = Beside(
    release="1f0c",
    services={"wallet": "http://127.0.0.1:18101"},
    processes={"wallet-api": Running("wallet", "wallet-api", "http://127.0.0.1:18101", 7)},
)


def test_a_release_is_told_of_while_its_process_holds_its_lock(tmp_path: Path) -> None:
    home = beside.folder(tmp_path) / TOLD.release
    home.mkdir(parents=True)
    beside.write_running(home, TOLD)

    handle = state.take(beside.lock_file(home))
    assert handle is not None
    with handle:
        told = list(beside.running(tmp_path))

    assert told == [TOLD]
    assert list(beside.running(tmp_path)) == []


def test_orders_are_read_as_they_were_written_and_forgotten(tmp_path: Path) -> None:
    home = beside.folder(tmp_path)
    at_first = beside.orders(home)
    beside.write_orders(home, ["wallet-relay", "fraud-relay"])
    ordered = beside.orders(home)
    beside.forget_orders(home)

    assert ordered == {"wallet-relay", "fraud-relay"}
    assert at_first == beside.orders(home) == frozenset()


def test_a_stack_that_starts_serves_by_itself_whatever_was_before(tmp_path: Path) -> None:
    beside.write_serving(tmp_path, "1f0c")
    beside.write_orders(beside.folder(tmp_path), ["wallet-api"])
    (beside.folder(tmp_path) / "state.json").write_text("{}")
    served = beside.serving(tmp_path)

    beside.forget(tmp_path)

    assert served == "1f0c"
    assert beside.serving(tmp_path) == ""
    assert beside.orders(beside.folder(tmp_path)) == frozenset()
    assert not (beside.folder(tmp_path) / "state.json").exists()


def test_there_is_nothing_to_end_where_nothing_runs(tmp_path: Path) -> None:
    beside.end_all(tmp_path)

    assert list(beside.running(tmp_path)) == []
