"""Every command says what it is for; one that changes something has a dry run, one that destroys asks before."""

import importlib
from collections.abc import Iterator
from typing import Final

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

PACKAGES: Final = (
    "wallet",
    "transaction_history",
    "fraud",
    "notifications",
    "access",
    "gateway",
    "observability",
    "local_stack",
    "manifests",
    "release",
)
CHANGES: Final = frozenset(
    {
        "migrate",
        "unpark",
        "rewind",
        "repair",
        "archive",
        "replay",
        "unhalt",
        "bootstrap",
        "deploy",
        "rollback",
        "contract",
    }
)
"""What changes a database or a topic by an operator's decision."""
DESTROYS: Final = frozenset({"clean", "contract", "rebuild --drop-old"})
"""What nothing brings back."""


def commands(package: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Give every command of *package* with its words."""
    module = importlib.import_module(f"{package}.__main__")
    cli = next(each for each in vars(module).values() if isinstance(each, typer.Typer))
    group = get_command(cli)
    assert isinstance(group, TyperGroup)
    yield from _below(group, package)


def _below(group: TyperGroup, words: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _below(command, f"{words} {name}")
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield f"{words} {name}", command


def options(command: typer.core.TyperCommand) -> set[str]:
    """Return the options of *command*."""
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_command_and_option_is_explained(package: str) -> None:
    silent = [
        f"{words} {parameter.opts[0] if parameter else ''}"
        for words, command in commands(package)
        for parameter in (None, *command.params)
        if not (command.help if parameter is None else getattr(parameter, "help", None) or parameter.name == "help")
    ]

    assert not silent


@pytest.mark.parametrize("package", PACKAGES)
def test_what_changes_something_can_be_tried_first(package: str) -> None:
    found = {words for words, command in commands(package) if words.rpartition(" ")[2] in CHANGES}

    assert {words for words, command in commands(package) if "--dry-run" in options(command)} >= found


@pytest.mark.parametrize("package", PACKAGES)
def test_what_destroys_asks_before(package: str) -> None:
    destroying = {each.split(" ")[0]: set(each.split(" ")[1:]) for each in DESTROYS}
    missing = [
        words
        for words, command in commands(package)
        if (flags := destroying.get(words.rpartition(" ")[2])) is not None
        and flags <= options(command)
        and "--yes" not in options(command)
    ]

    assert not missing
