import os
from pathlib import Path

import pytest

from engines.debian import find_program
from engines.errors import EngineError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_what_is_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "promtool", "")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program("promtool", "prometheus") == str(tmp_path / "promtool")


@as_root
def test_root_on_debian_is_told_and_gets_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = '[ "$*" = "install --yes --no-install-recommends prometheus" ]'
    program(tmp_path / "apt-get", f"if {wanted}; then /bin/cp {tmp_path}/apt-get {tmp_path}/promtool; fi")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program("promtool", "prometheus") == str(tmp_path / "promtool")
    assert "installing it with apt-get install prometheus" in capsys.readouterr().out


@as_root
def test_a_failed_installation_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "apt-get", "echo no network >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineError, match=r"(?s)apt-get update` failed.*no network"):
        find_program("promtool", "prometheus")


def test_elsewhere_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(EngineError, match=r"the program promtool is missing: .*apt-get install prometheus"):
        find_program("promtool", "prometheus")
