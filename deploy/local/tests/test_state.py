import json
from pathlib import Path

import pytest

from local_stack import state
from local_stack.errors import StackError


def test_stack_json_has_the_documented_shape() -> None:
    description = state.Description(
        services={"wallet": "http://127.0.0.1:1"},
        processes={"wallet-api": (7, "http://127.0.0.1:1")},
        postgres={"wallet": "postgresql://wallet_app:secret@127.0.0.1:2/wallet"},
        kafka="127.0.0.1:3",
        outsiders={"dashboards": "postgresql://dashboards:secret@127.0.0.1:2/wallet"},
        observers={"prometheus": (8, "http://127.0.0.1:4")},
        gateway=(9, "http://127.0.0.1:5"),
        release="1f0c",
    )

    assert json.loads(description.as_json()) == {
        "services": {"wallet": {"url": "http://127.0.0.1:1"}},
        "processes": {"wallet-api": {"pid": 7, "url": "http://127.0.0.1:1"}},
        "postgres": {"wallet": "postgresql://wallet_app:secret@127.0.0.1:2/wallet"},
        "kafka": "127.0.0.1:3",
        "release": "1f0c",
        "outsiders": {"dashboards": "postgresql://dashboards:secret@127.0.0.1:2/wallet"},
        "observers": {"prometheus": {"pid": 8, "url": "http://127.0.0.1:4"}},
        "gateway": {"pid": 9, "url": "http://127.0.0.1:5"},
    }


def test_one_stack_at_a_time(tmp_path: Path) -> None:
    with state.hold(tmp_path), pytest.raises(StackError, match="a stack runs already"):
        state.hold(tmp_path)

    with state.hold(tmp_path):
        assert state.running_pid(tmp_path) is not None
    assert state.running_pid(tmp_path) is None


def test_passwords_stay_and_are_private(tmp_path: Path) -> None:
    first = state.passwords(tmp_path, ("wallet_owner",))

    second = state.passwords(tmp_path, ("wallet_owner", "wallet_app"))

    assert second["wallet_owner"] == first["wallet_owner"]
    assert second["wallet_app"] != second["wallet_owner"]
    assert (tmp_path / "data" / "passwords.json").stat().st_mode & 0o077 == 0
