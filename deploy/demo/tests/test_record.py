from pathlib import Path

import pytest

from demo.figures import Durations
from demo.record import Acknowledged, Record
from demo.states import WalletState


def transaction(number: int) -> Acknowledged:
    entries = (("wallet", number, "USD"), ("external:USD", -number, "USD"))
    return Acknowledged(number.to_bytes(16, "big"), entries, None)


def test_transactions_come_back_ascending_by_id_however_many(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.sqlite")
    for number in range(2_500, 0, -1):
        record.acknowledge(transaction(number))

    assert list(record.transactions()) == [transaction(number) for number in range(1, 2_501)]
    record.close()


def test_wallets_come_back_as_they_were_last_saved(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.sqlite")
    first = WalletState("a", "USD", 9 * 10**18, 3, is_closed=True, scope="all", id_bytes=b"2" * 16)
    second = WalletState("b", "JPY", id_bytes=b"1" * 16, held_minor=3, overdraft_minor=4)
    record.save([WalletState("a", "USD"), second])
    record.save([first])

    assert record.load(["a", "b", "nobody"]) == {"a": first, "b": second}
    assert list(record.wallets()) == [second, first]
    record.close()


def test_a_new_record_replaces_the_old_one(tmp_path: Path) -> None:
    old = Record(tmp_path / "record.sqlite")
    old.acknowledge(transaction(1))
    old.close()

    record = Record(tmp_path / "record.sqlite")

    assert list(record.transactions()) == []
    record.close()


def test_percentiles_are_right_within_a_percent() -> None:
    durations = Durations()
    for milliseconds in range(1, 1_001):
        durations.add(milliseconds / 1_000)

    assert durations.percentile_ms(50) == pytest.approx(500, rel=0.01)
    assert durations.percentile_ms(99) == pytest.approx(990, rel=0.01)
    assert Durations().percentile_ms(50) is None


def test_a_restriction_by_somebody_else_is_one_version(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.sqlite")
    record.save([WalletState("a", "USD", 5, 3, id_bytes=b"1" * 16), WalletState("b", "USD", id_bytes=b"2" * 16)])

    restricted = record.restrict(["a"])

    assert [(wallet.name, wallet.scope, wallet.version) for wallet in restricted] == [("a", "debits", 4)]
    assert {wallet.name: (wallet.scope, wallet.version) for wallet in record.wallets()} == {
        "a": ("debits", 4),
        "b": (None, 1),
    }
    record.close()
