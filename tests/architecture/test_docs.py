"""What the pages name exists: files, routes, ports, commands, settings, metrics, modules and migrations."""

import importlib
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import typer

from local_stack.config import Config
from local_stack.services import SERVICES, Service

ROOT: Final = Path(__file__).parents[2]
DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES: Final = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "services").glob("*/README.md")),
]
MADE_AT_RUN_TIME: Final = ".local/"
ELSEWHERE: Final = frozenset({"nsswitch.conf", "uv.lock"})
"""Files that are named and are not the repository's."""
PACKAGES: Final = (
    "contracts|servicekit|wallet|transaction_history|notifications|fraud|access|testkit|local_stack|demo|tests"
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
present_page = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name
)
"""Those that tell the present alone: the changelog names what was renamed, too."""


@cache
def files() -> frozenset[str]:
    """Return every file of the repository, those not yet committed too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return frozenset(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n"))


@cache
def sources() -> str:
    """Return the text of all that is not a page."""
    suffixes = (".py", ".sql", ".toml", ".yml", ".yaml", "Makefile")
    return "\n".join((ROOT / file).read_text() for file in sorted(files()) if file.endswith(suffixes))


def quoted(page: Path, pattern: str) -> set[str]:
    """Return what stands between backquotes on *page* and is all of *pattern*, or the pattern's only group."""
    found = (re.fullmatch(pattern, text) for text in re.findall(r"`([^`\n]+)`", page.read_text()))
    return {match[match.lastindex or 0] for match in found if match is not None}


def is_there(name: str) -> bool:
    """Return whether *name* is the end of a file's path, or a folder on it."""
    if name in ELSEWHERE or name.startswith(MADE_AT_RUN_TIME):
        return True
    ending = f"/{name.strip('/')}"
    return any(f"/{file}".endswith(ending) or f"{ending}/" in f"/{file}" for file in files())


@cache
def routes() -> frozenset[str]:
    """Return the paths of every API, `{}` for a parameter."""
    documents = (ROOT / "docs" / "openapi").glob("*.json")
    return frozenset(_bare(path) for document in documents for path in json.loads(document.read_text())["paths"])


def _bare(path: str) -> str:
    return re.sub(r"\{[^}]*\}|\$\w+", "{}", path).rstrip("/")


def test_the_checks_find_what_they_look_for(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`tests/no_such.py` and `WALLET_API_PORT=1` and `x_total{a=1}`")

    assert quoted(page, r"[\w/]+\.py") == {"tests/no_such.py"}
    assert quoted(page, r"([A-Z]+(?:_[A-Z]+)+)(?:=.*)?") == {"WALLET_API_PORT"}
    assert not is_there("tests/no_such.py")
    assert is_there("architecture/test_docs.py")
    assert _bare("/v1/history/wallets/$B/entries") in routes()


@each_page
def test_the_files_of_a_page_exist(page: Path) -> None:
    named = quoted(page, r"[\w-][\w./-]*\.(?:py|sql|md|yaml|yml|json|toml|lua|svg|lock|conf)")
    folders = quoted(page, r"(?:docs|libs|services|deploy|tests)/[\w./-]+|[\w-]+/")

    assert sorted(name for name in named | folders if not is_there(name)) == []


@each_page
def test_the_routes_of_a_page_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w.])/v1/[\w/{}$-]+", page.read_text())

    unknown = {path for path in named if not any(f"{route}/".startswith(f"{_bare(path)}/") for route in routes())}

    assert sorted(unknown) == []


@present_page
def test_the_settings_and_metrics_of_a_page_exist(page: Path) -> None:
    settings = quoted(page, r"([A-Z]+(?:_[A-Z0-9]+)+)(?:=.*)?")
    metrics = quoted(page, r"([a-z]+(?:_[a-z]+)+_(?:total|seconds|ms))(?:\{.*)?")

    text = sources()
    assert sorted(name for name in settings if name not in text and name.lower() not in text) == []
    own = [name for name in metrics if not name.startswith("process_")]  # those are of Prometheus's client
    assert sorted(name for name in own if name not in text) == []


@present_page
def test_the_modules_of_a_page_exist(page: Path) -> None:
    for name in quoted(page, rf"(?:{PACKAGES})(?:\.\w+)+"):
        module, _, last = name.rpartition(".")
        path = name.replace(".", "/")
        is_module = is_there(f"src/{path}.py") or is_there(f"src/{path}") or is_there(f"{path}.py")
        is_attribute = is_there(f"src/{module.replace('.', '/')}.py") and re.search(rf"\b{last}\b", sources())
        assert is_module or is_attribute or name in sources(), f"{page.name} names {name}"


@each_page
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for package, command in re.findall(r"python -m (\w+) (\w+)", page.read_text()):
        if package in {service.name for service in SERVICES}:
            group = typer.main.get_command(importlib.import_module(f"{package}.__main__").cli)
            assert command in getattr(group, "commands", {}), f"{page.name} calls {package} {command}"


@each_page
def test_the_migrations_and_decisions_of_a_page_exist(page: Path) -> None:
    text = page.read_text()

    for number in re.findall(r"migrations? (\d{4})", text):
        assert any(re.search(rf"migrations/{number}_", file) for file in files()), f"migration {number}"
    for number in re.findall(r"\bdecision (\d+)", text):
        assert any(file.name.startswith(f"{int(number):04}-") for file in DECISIONS), f"decision {number}"


def test_the_local_stack_lists_every_port() -> None:
    config = Config({"FULL": "1"})
    page = (ROOT / "docs" / "local-stack.md").read_text()
    listed = {
        variable: _ports(line)
        for line in page.splitlines()
        if line.startswith("| ")
        for variable in re.findall(r"`(\w+_PORT)`", line)
    }

    claimed = dict(reversed(list(config._claims())))  # of several instances the first

    assert listed.keys() == claimed.keys()
    assert [variable for variable, port in claimed.items() if port not in listed[variable]] == []


def _ports(row: str) -> set[int]:
    """Return the ports in the last cell of *row*: `8101, 8102` or `8121 to 8124`."""
    cell = row.rstrip("| ").rpartition("|")[2]
    ports = [int(text) for text in re.findall(r"\d+", cell)]
    return set(range(ports[0], ports[-1] + 1)) if " to " in cell else set(ports)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_lists_its_processes_and_ports(service: Service) -> None:
    page = (ROOT / "services" / service.name.replace("_", "-") / "README.md").read_text()

    for process in service.processes:
        row = next((line for line in page.splitlines() if f"`{' '.join(('python', *process.argv[1:]))}`" in line), "")
        assert f"port {process.port}" in row, process.name


def test_the_read_side_lists_every_route() -> None:
    page = (ROOT / "docs" / "architecture" / "read-side.md").read_text()
    named = {_bare(path) for path in re.findall(r"/v1/[\w/{}-]+", page)}
    document = json.loads((ROOT / "docs" / "openapi" / "transaction-history.json").read_text())

    assert sorted({_bare(path) for path in document["paths"] if path.startswith("/v1/")} - named) == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.name[:4])
def test_a_decision_has_its_number_and_says_what_would_make_us_revisit_it(decision: Path) -> None:
    text = decision.read_text()

    assert re.match(rf"# {int(decision.name[:4])}\. \S", text)
    assert re.search(r"^(Revisit (when|never)|Superseded by) ", text, re.MULTILINE)
