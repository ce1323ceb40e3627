from pathlib import Path

import pytest

from local_stack import java
from local_stack.errors import StackError


def test_the_java_found_is_new_enough() -> None:
    assert java.java_version(java.find_java()) >= java.JAVA_MIN


def test_without_a_java_on_the_machine_the_wheel_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert java.java_version(java.find_java()) >= java.JAVA_MIN


def test_what_does_not_run_has_version_0(tmp_path: Path) -> None:
    assert java.java_version(str(tmp_path / "java")) == 0


def test_without_maven_the_message_names_every_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(StackError) as refused:
        java.find_maven()

    for way in ("apt-get install maven", "KAFKA_BOOTSTRAP_SERVERS", "<SERVICE>_DATABASE_URL", "docker compose up"):
        assert way in str(refused.value)
