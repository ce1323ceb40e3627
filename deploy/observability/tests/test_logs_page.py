"""Every line of a log stands on a page, which says who has to look."""

import re
from pathlib import Path
from typing import Final

import pytest
import typer.testing

from engines.checkout import ROOT
from observability.__main__ import app
from observability.log_lines import Level, UnreadableLine, lines_of, log_lines
from observability.log_meanings import MEANINGS, SEVERAL_LEVELS
from observability.logs_page import FOLDERS, by_action, levels_of

LINES: Final = by_action(log_lines(FOLDERS))
PRIVATE: Final = {
    "amount", "amount_minor", "authorization", "balance", "body", "email", "headers", "name", "owner", "owner_id",
    "password", "query", "secret", "token", "url",
}  # fmt: skip
FILE: Final = Path("made.py")


def test_each_line_has_a_meaning_and_each_meaning_a_line() -> None:
    assert MEANINGS.keys() - LINES.keys() == set(), "what no process writes any more"
    assert LINES.keys() - MEANINGS.keys() == set(), "say in observability/log_meanings.py what it means"


def test_the_page_is_up_to_date() -> None:
    printed = typer.testing.CliRunner().invoke(app, ["logs-page"])
    assert printed.output == (ROOT / "docs" / "logs.md").read_text(), "run make docs"


def test_actions_are_named_alike() -> None:
    assert [action for action in LINES if not re.fullmatch(r"[a-z_]+\.[a-z_]+", action)] == []


def test_an_action_has_one_level() -> None:
    assert {action for action, lines in LINES.items() if len(levels_of(lines)) > 1} == SEVERAL_LEVELS


def test_whoever_has_to_look_is_told_what_to_do() -> None:
    errors = {action for action, lines in LINES.items() if Level.ERROR in levels_of(lines)}
    assert {action for action in errors if not MEANINGS[action].then} == set()


def test_no_field_is_private() -> None:
    named = {(action, field) for action, lines in LINES.items() for line in lines for field in line.fields}
    # The name of a certificate's use, as metrics have it.
    assert {(action, field) for action, field in named if field in PRIVATE} == {("expiry.not_read", "name")}


def test_only_loggers_that_are_read_here_are_made() -> None:
    others = re.compile(
        r"logging\.getLogger\(__name__\)"
        r"|\b(?!_log\b)\w+ = (?:structlog\.)?get_logger\("  # under another name
        r"|^(?!_log = ).*\bstructlog\.get_logger\(\w"
        r"|\._log\.(?:debug|info|warning|error|exception|critical)\(",
        re.MULTILINE,
    )
    files = [file for folder in FOLDERS for file in sorted(folder.rglob("*.py"))]
    assert [file.name for file in files if others.search(file.read_text())] == []


def test_a_line_is_read_with_its_fields() -> None:
    text = """
class Worker:
    def work(self):
        named: dict[str, object] = {"id": 1, "why": "late"}
        if self.is_bug:
            get_logger().exception("work.crashed", **named)
        _log.warning("work.failed", error="x", **_told(self))

def _told(worker):
    return {"place": worker.place}
"""
    crashed, failed = lines_of(text, FILE)

    assert (crashed.action, crashed.levels, crashed.fields) == (
        "work.crashed",
        (Level.ERROR,),
        ("exception", "id", "why"),
    )
    assert (failed.action, failed.levels, failed.fields) == ("work.failed", (Level.WARNING,), ("error", "place"))


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("_log.info(action)", "is a constant"),
        ('_log.info(f"work.{kind}")', "is a constant"),
        ("_log.info()", "is a constant"),
        ('_log.critical("work.failed")', "`critical` is not used"),
        ('get_logger().bind(a=1).info("work.done")', "`bind` is not used"),
        ('_log.info("work.done", **fields)', "`**fields` do not stand"),
        ('_log.info("work.done", **vars(self))', "do not stand"),
    ],
)
def test_a_line_that_hides_what_it_says_is_refused(call: str, why: str) -> None:
    with pytest.raises(UnreadableLine, match=r"made\.py:2: .*" + re.escape(why)):
        list(lines_of(f"def work(action, kind, fields):\n    {call}\n", FILE))
