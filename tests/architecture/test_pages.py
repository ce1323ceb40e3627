"""The generated pages tell the present truth, and the README's links lead somewhere."""

import re
from pathlib import Path
from typing import Final

import pytest

from servicekit.scopes_page import scopes_page
from servicekit.settings_page import load, settings_page

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "services").glob("*/README.md")),
]


def test_the_settings_page_is_made_from_the_classes() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(r"^SETTINGS := (.*)$", makefile, re.MULTILINE)
    assert found is not None

    classes = [load(path) for path in found[1].split()]

    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(classes), "run `make docs`"


def test_the_page_of_scopes_is_made_from_the_registry() -> None:
    assert (ROOT / "docs" / "scopes.md").read_text() == scopes_page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None

    for target in phony[1].split():
        assert re.search(rf"^{target}:.* ## .+\.$", makefile, re.MULTILINE), target
