"""A command that destroys asks before, and does nothing where nobody can answer."""

import io

import pytest
import typer

from servicekit.operators import confirm


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(text))


def test_who_says_yes_beforehand_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "")

    confirm("Drop all?", yes=True)


def test_yes_goes_on_and_no_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "y\n")
    confirm("Drop all?", yes=False)

    answering(monkeypatch, "n\n")
    with pytest.raises(typer.Exit) as ended:
        confirm("Drop all?", yes=False)
    assert ended.value.exit_code == 1


def test_where_nobody_can_answer_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    with pytest.raises(typer.Exit) as ended:
        confirm("Drop all?", yes=False)

    assert ended.value.exit_code == 1
    assert "say --yes" in capsys.readouterr().err
