"""No name says what the glossary has another word for: its words in `(not: …)` are banned from Python and SQL."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
GLOSSARY: Final = ROOT / "docs" / "glossary.md"
PARENTS: Final = ("libs", "services", "deploy")

MEANT_OTHERWISE: Final = {
    "account": "a system account, one of the operating system's, or the journal's column for either kind of holder",
    "alert": "Prometheus's",
    "check": "of health, of a column, of what was reconciled",
    "failure": "of the world: what a driver's error asks for",
    "log": "what a process writes line by line, and Kafka's",
    "notification": "the service is called so",
    "policy": "the schedule and the bounds of a delivery's attempts",
    "task": "asyncio's",
    "try": "the verb",
}
"""Banned for one meaning, and the right word for another: names that have them are not looked at."""

PUBLISHED: Final = {
    "leg": {"LegBody"},
}
"""Names of published schemas, older than the ban: nothing is added here, and what is gone must go from here too."""


def banned_words() -> frozenset[str]:
    """Return the words that the glossary names in brackets."""
    found = re.findall(r"\(not: ([^)]*)\)", GLOSSARY.read_text())
    return frozenset(word.strip() for words in found for word in words.split(","))


def words_of(name: str) -> str:
    """Return the words of *name* in the singular, each between spaces."""
    words = (word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))
    return f" {' '.join(_singular(word) for word in words)} "


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module gives: of classes, functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


@pytest.fixture(scope="module")
def names() -> frozenset[str]:
    """Give every name in the sources and in the schemas in force, and those of the modules themselves."""
    modules = [file for parent in PARENTS for file in (ROOT / parent).glob("*/src/**/*.py")]
    schemas = (ROOT / "services").glob("*/sql/schema.sql")
    return frozenset(
        {name for file in modules for name in (file.stem, *defined_names(ast.parse(file.read_text())))}
        | {name for file in schemas for name in re.findall(r"[a-z_]+", file.read_text())}
    )


def test_the_check_finds_what_it_looks_for() -> None:
    source = "class WalletLeg: ...\ndef f(verdicts):\n    self.dead_letter = legible = 1"

    assert {*defined_names(ast.parse(source))} == {"WalletLeg", "f", "verdicts", "dead_letter", "legible"}
    assert [words_of(name) for name in ("WalletLeg", "verdicts", "DEAD_LETTERS_MAX")] == [
        " wallet leg ",
        " verdict ",
        " dead letter max ",
    ]
    assert {"leg", "verdict", "dead letter"} <= banned_words()


@pytest.mark.parametrize("word", sorted(banned_words() - MEANT_OTHERWISE.keys()))
def test_no_name_says_what_the_glossary_has_another_word_for(word: str, names: frozenset[str]) -> None:
    found = {name for name in names if f" {_singular(word)} " in words_of(name)}

    assert sorted(found - PUBLISHED.get(word, set())) == [], f"the glossary has another word for {word}"


def test_no_exception_outlives_what_it_is_for(names: frozenset[str]) -> None:
    listed = {name for allowed in PUBLISHED.values() for name in allowed}

    assert sorted(listed - names) == []
    assert MEANT_OTHERWISE.keys() <= banned_words()
    assert PUBLISHED.keys() <= banned_words() - MEANT_OTHERWISE.keys()
