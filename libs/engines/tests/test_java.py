import os
from pathlib import Path

import pytest

from engines import java
from engines.errors import EngineError


def test_the_java_found_is_new_enough() -> None:
    assert java.java_version(java.find_java()) >= java.JAVA_MIN


def test_without_a_java_on_the_machine_the_wheel_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert java.java_version(java.find_java()) >= java.JAVA_MIN


def test_what_does_not_run_has_version_0(tmp_path: Path) -> None:
    assert java.java_version(str(tmp_path / "java")) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_root_on_debian_is_told_and_gets_maven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "apt-get", f"if [ $1 = install ]; then /bin/cp {tmp_path}/apt-get {tmp_path}/mvn; fi")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert java.find_maven() == str(tmp_path / "mvn")
    assert "maven is missing: installing it with apt-get install maven" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_a_failed_installation_says_why_and_what_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "apt-get", "echo no network >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineError, match=r"(?s)no network.*KAFKA_BOOTSTRAP_SERVERS"):
        java.find_maven()


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_without_maven_the_message_names_every_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(EngineError) as refused:
        java.find_maven()

    for way in ("apt-get install maven", "KAFKA_BOOTSTRAP_SERVERS", "<SERVICE>_DATABASE_URL", "docker compose up"):
        assert way in str(refused.value)
