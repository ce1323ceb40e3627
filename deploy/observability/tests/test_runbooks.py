"""Each alert has its page and each page its alert; what a page says to paste is there."""

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from deploy.observability.tests.test_rules import unknown_in
from typer.testing import CliRunner

from engines import checkout, debian
from observability.alerts import ALERTS
from observability.rules import RUNBOOKS

FOLDER: Final = checkout.ROOT / RUNBOOKS
README: Final = FOLDER / "README.md"
PAGES: Final = sorted(file for file in FOLDER.glob("*.md") if file != README)
OF_ALERTS: Final = [page for page in PAGES if page.stem[0].isupper()]
SAID: Final = ("**Customers**", "**Look**", "**Do**", "**Escalate**", "**Clears**")
LINES_MAX: Final = 60

each_page = pytest.mark.parametrize("page", OF_ALERTS, ids=lambda page: page.stem)


def pasted(page: Path) -> Iterator[str]:
    """Return each line of the shell that *page* says to paste."""
    for block in re.findall(r"^ *```bash\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.splitlines() if line.strip())


def queries(page: Path) -> list[str]:
    """Return the expressions that *page* asks Prometheus."""
    return [found for line in pasted(page) for found in re.findall(r"promtool query instant \S+ '([^']*)'", line)]


def modules(page: Path) -> list[tuple[str, ...]]:
    """Return the commands `python -m …` of *page*, in its text too: the module and the words behind it."""
    found = re.findall(r"python -m (\w+)((?: [a-z]\w*)*)((?: --[\w-]+)*)", page.read_text())
    return [(module, *words.split(), *options.split()) for module, words, options in found]


def unmatched(alerts: set[str], pages: set[str]) -> set[str]:
    """Return which alerts have no page, and which pages no alert."""
    return alerts ^ pages


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    assert unmatched({alert.name for alert in ALERTS}, {page.stem for page in OF_ALERTS}) == set()


def test_a_page_that_is_missing_is_found() -> None:
    names = {alert.name for alert in ALERTS}

    assert unmatched(names, names - {"RelayLag"}) == {"RelayLag"}
    assert unmatched(names, names | {"RelayLate"}) == {"RelayLate"}


def test_the_first_page_leads_to_all_others() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", README.read_text()))

    assert linked == {page.name for page in PAGES}


@each_page
def test_a_page_says_what_who_is_woken_needs(page: Path) -> None:
    text = page.read_text()

    places = [text.find(said) for said in SAID]

    assert text.startswith(f"# {page.stem}\n")
    assert -1 not in places
    assert places == sorted(places)
    assert len(text.splitlines()) <= LINES_MAX
    assert list(pasted(page)), "a page says how to look"


def commands_of(command: Any, words: list[str]) -> tuple[list[str], list[str]]:
    """Return which of *words* name commands below *command*, and the options that the last of them takes."""
    named: list[str] = []
    for word in words:
        below = getattr(command, "commands", {})
        if word not in below:
            break
        named.append(word)
        command = below[word]
    return named, [option for parameter in command.params for option in parameter.opts]


DISTINCT: Final = sorted({command for page in (README, *PAGES) for command in modules(page)})


@pytest.mark.parametrize("command", DISTINCT, ids=" ".join)
def test_every_command_of_a_page_has_help_and_takes_its_options(command: tuple[str, ...]) -> None:
    module, *words = command
    entry = importlib.import_module(f"{module}.__main__")
    app = getattr(entry, "cli", None) or entry.app
    options = [word for word in words if word.startswith("--")]

    named, taken = commands_of(typer.main.get_command(app), [word for word in words if not word.startswith("--")])
    ran = CliRunner().invoke(app, [*named, "--help"])

    assert named == [word for word in words if not word.startswith("--")], "there is no such command"
    assert ran.exit_code == 0, ran.output
    assert set(options) <= set(taken)


def test_every_query_of_a_page_is_one_and_reads_metrics_that_there_are(tmp_path: Path) -> None:
    asked = [(page.stem, query) for page in (README, *PAGES) for query in queries(page)]
    recorded = [{"record": f"asked:{place}", "expr": query} for place, (_, query) in enumerate(asked)]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": recorded}]}))
    promtool = debian.find_program("promtool", "prometheus")

    ran = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=20
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [found for found in unknown_in(asked) if found[1] != "ALERTS"] == []


@each_page
def test_what_is_pasted_is_shell(page: Path) -> None:
    for line in pasted(page):
        assert shlex.split(line)

    ran = subprocess.run(
        ["bash", "-n"], input="\n".join(pasted(page)), capture_output=True, text=True, check=False, timeout=10
    )

    assert ran.returncode == 0, ran.stderr
