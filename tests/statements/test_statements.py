"""Statements as PDF: what is in them, read back; and that they are the same wherever they are made."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from tests.statements.samples import BYTES, figures_of, lines_of, sample_hashes, with_text

from transaction_history.rendering import (
    LINES_PER_VOLUME,
    TEMPLATE_VERSION,
    FontsUnusable,
    SettingFailed,
    check_fonts,
    render,
)
from transaction_history.rendering.fonts import FONTS, FontFile, covered_characters
from transaction_history.rendering.printable import printable
from transaction_history.rendering.setting import Typesetter
from transaction_history.rendering.wording import MINUS, WORDINGS

ROOT: Final = Path(__file__).parents[2]
COVERED: Final = "".join(chr(each) for characters in covered_characters() for each in sorted(characters))
LOCALES: Final = sorted(WORDINGS)
MARKUP: Final = (
    "#panic()",
    "$x^2$",
    "*bold*",
    "_it_",
    "= head",
    "@ref <label>",
    "\\u{1F600}",
    "`raw`",
    "//",
    "#[",
    "~",
)


def pages_of(pdf: bytes) -> list[str]:
    """Return the text of each page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def squeezed(text: str) -> str:
    """Return *text* without white space: where lines are broken does not matter."""
    return "".join(text.split())


@pytest.fixture
def typesetter() -> Iterator[Typesetter]:
    made = Typesetter()
    yield made
    made.close()


def test_figures_and_texts_are_read_back() -> None:
    lines = lines_of(30)
    figures = figures_of(lines)

    made = render(figures, lines, 1, 1)

    pages = pages_of(made.pdf)
    say = WORDINGS["en"]
    assert made.unknown_characters == 0
    for label, amount in (
        (say.opening, figures.opening), (say.credits, figures.credits), (say.debits, -figures.debits),
        (say.closing, figures.closing), (say.fees, figures.fees),
    ):  # fmt: skip
        assert f"{label} {say.amount_text(amount, 2)}" in pages[0]
    for line in lines:
        shown = f"{say.amount_text(line.amount, 2)} {say.amount_text(line.balance_after, 2)}"
        assert any(shown in page for page in pages)
        assert line.reference is None or any(line.reference in page for page in pages)
    assert "Entered after its period was closed" in pages[0]
    assert "30 Oct 2026 09:30:00 6 Nov 2026 09:30:00 250.00" in pages[0]
    for at, page in enumerate(pages, 1):
        assert f"Page {at} of {len(pages)}" in page
        assert f"Statement 12 · Issue 1 · {figures.wallet_id}" in page


@pytest.mark.parametrize("locale", LOCALES)
def test_it_is_an_archivable_and_accessible_pdf_in_its_language(locale: str) -> None:
    made = render(figures_of([], locale=locale), [], 1, 1)

    reader = PdfReader(io.BytesIO(made.pdf))
    root = reader.root_object
    assert b"<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in made.pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in made.pdf
    assert str(root["/Lang"]) == locale
    assert str(root["/MarkInfo"]) == str({"/Marked": True, "/Suspects": False})
    assert reader.metadata is not None
    assert reader.metadata.title == f"{WORDINGS[locale].title} 12"


def test_a_sign_is_set_together_with_its_amount_in_arabic_too() -> None:
    """Out of order, the sign is a piece of its own, at the other end."""
    lines = [*lines_of(5, locale="ar"), with_text(lines_of(1)[0], f"{MINUS}5%")]
    figures = figures_of(lines, locale="ar")
    pieces: list[str] = []

    for page in PdfReader(io.BytesIO(render(figures, lines, 1, 1).pdf)).pages:
        page.extract_text(visitor_text=lambda text, *_: pieces.append(text.strip()))

    assert MINUS not in pieces
    assert {f"{MINUS}1,500.00", f"{MINUS}2.77", f"{MINUS}5%", str(figures.wallet_id)} <= {*pieces}


def test_same_figures_give_the_same_bytes_in_other_processes() -> None:
    program = "import json, tests.statements.samples as s; print(json.dumps(s.sample_hashes()))"

    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]

    assert [json.loads(each) for each in made] == [sample_hashes()] * 2


def test_other_bytes_are_another_version_of_the_template() -> None:
    """Fails after a change of template, words, fonts or typst.

    Raise TEMPLATE_VERSION, run `python -m tests.statements` and look at the pictures.
    """
    assert json.loads(BYTES.read_text()) == {"template_version": TEMPLATE_VERSION, "sha256": sample_hashes()}


def test_figures_timestamp_and_issue_are_told_apart() -> None:
    figures = figures_of([])
    others = (
        replace(figures, issue=2),
        replace(figures, closed_at=figures.to_instant),
        replace(figures, opening=1),
    )

    assert len({render(each, [], 1, 1).pdf for each in (figures, *others)}) == 4


def test_a_full_volume_has_its_heads_on_every_page() -> None:
    lines = lines_of(LINES_PER_VOLUME)

    pages = PdfReader(io.BytesIO(render(figures_of(lines), lines, 1, 2).pdf)).pages

    looked_at = {number: pages[number - 1].extract_text() for number in (1, 2, len(pages) // 2, len(pages))}
    for number, page in looked_at.items():
        assert "Amount EUR Balance EUR" in page
        assert f"Volume 1 of 2 · Page {number} of {len(pages)}" in page
    assert f"INV-2026/{LINES_PER_VOLUME - 2:05d}" in looked_at[len(pages)]
    assert "Balance carried forward" in looked_at[len(pages)]


def test_a_later_volume_goes_on_with_the_balance() -> None:
    lines = lines_of(30)

    text = "".join(pages_of(render(figures_of(lines), lines[20:], 2, 2).pdf))

    before = WORDINGS["en"].amount_text(lines[19].balance_after, 2)
    assert f"Balance brought forward {before}" in text
    assert "Summary" not in text
    assert f"Closing balance {WORDINGS['en'].amount_text(lines[-1].balance_after, 2)}" in text


def test_an_end_that_is_no_midnight_has_its_time() -> None:
    figures = figures_of([])
    ended = replace(figures, period_to=date(2026, 10, 20), to_instant=datetime(2026, 10, 20, 13, 30, tzinfo=UTC))

    assert "Period 1 Oct 2026 to 31 Oct 2026" in pages_of(render(figures, [], 1, 1).pdf)[0]
    assert "Period 1 Oct 2026 to 20 Oct 2026 14:30:00" in pages_of(render(ended, [], 1, 1).pdf)[0]


def test_a_statement_without_anything_says_so() -> None:
    figures = replace(figures_of([]), holds=(), label=None)

    page = pages_of(render(figures, [], 1, 1).pdf)[0]

    assert "No entries in this period." in page
    assert "No hold was open." in page


def test_what_no_font_has_is_shown_as_its_code_and_counted() -> None:
    lines = [replace(lines_of(1)[0], description="房租 rent")]

    made = render(figures_of(lines), lines, 1, 1)

    assert made.unknown_characters == 2
    assert "U+623F U+79DF rent" in "".join(pages_of(made.pdf))


def test_the_largest_amounts_have_room() -> None:
    line = replace(lines_of(1)[0], amount=9 * 10**18, balance_after=9 * 10**18, reference="a" * 500)
    figures = replace(figures_of([line]), opening=0, holds_left_out=7)

    text = "".join(pages_of(render(figures, [line], 1, 1).pdf))

    assert "90,000,000,000,000,000.00 90,000,000,000,000,000.00" in text
    assert "a" * 500 in squeezed(text)
    assert "Further open holds, not listed: 7" in text


@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(st.sampled_from(MARKUP), st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x17F))),
        min_size=1,
        max_size=20,
    )
)
def test_a_text_appears_as_itself_and_is_no_markup(texts: list[str]) -> None:
    lines = [with_text(line, text) for line, text in zip(lines_of(len(texts)), texts, strict=True)]

    pages = pages_of(render(figures_of(lines), lines, 1, 1).pdf)

    read = squeezed("".join(pages))
    for text in texts:
        assert squeezed(printable(text, covered_characters()).text.replace("\u200b", "")) in read


@settings(max_examples=30)
@given(
    st.lists(
        st.text(
            alphabet=st.one_of(
                st.characters(),
                st.sampled_from([chr(each) for fonts in covered_characters() for each in sorted(fonts)]),
            )
        ),
        max_size=40,
    ),
    st.sampled_from(LOCALES),
)
def test_whatever_is_written_can_be_set(texts: list[str], locale: str) -> None:
    lines = [with_text(line, text) for line, text in zip(lines_of(len(texts)), texts, strict=True)]
    unknown = sum(printable(text, covered_characters()).unknown for text in texts)

    made = render(figures_of(lines, locale=locale), lines, 1, 1)

    assert made.unknown_characters == 3 * unknown


def test_threads_wait_for_one_another_and_get_their_own() -> None:
    figures = [replace(figures_of([]), number=number) for number in range(1, 9)]

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda each: render(each, [], 1, 1).pdf, figures))

    assert [f"Statement {each.number}" in pages_of(pdf)[0] for each, pdf in zip(figures, made, strict=True)] == [
        True
    ] * 8


def test_what_typst_refuses_fails_alone(tmp_path: Path) -> None:
    template = tmp_path / "template.typ"
    template.write_text('#set document(title: "a")\n#if sys.inputs.document == "1" { panic() }\n= a\n')
    refusing = Typesetter(template=template)

    with pytest.raises(SettingFailed, match="refused"):
        refusing.pdf(b"1", timestamp=0, lines=0)

    assert refusing.pdf(b"2", timestamp=0, lines=0).startswith(b"%PDF")
    refusing.close()


def test_a_deadline_ends_the_process_and_the_next_document_has_another() -> None:
    hurried = Typesetter(deadline_s=0.001)

    with pytest.raises(SettingFailed, match="ended"):
        hurried.pdf(b"{}", timestamp=0, lines=0)

    assert hurried._child is None


def test_a_process_that_was_killed_is_replaced(typesetter: Typesetter, tmp_path: Path) -> None:
    template = tmp_path / "template.typ"
    template.write_text('#set document(title: "a")\n= a\n')
    typesetter._template = template
    made = typesetter.pdf(b"{}", timestamp=0, lines=0)
    assert typesetter._child is not None
    typesetter._child.kill()
    typesetter._child.wait(timeout=10)

    assert typesetter.pdf(b"{}", timestamp=0, lines=0) == made


def test_a_process_that_has_set_much_ends(tmp_path: Path) -> None:
    template = tmp_path / "template.typ"
    template.write_text('#set document(title: "a")\n= a\n')
    typesetter = Typesetter(template=template)

    typesetter.pdf(b"{}", timestamp=0, lines=4_980)
    kept = typesetter._child
    typesetter.pdf(b"{}", timestamp=0, lines=0)

    assert kept is not None
    assert typesetter._child is None
    assert kept.returncode is not None


def test_the_fonts_are_those_that_are_expected() -> None:
    check_fonts()


@pytest.mark.parametrize(
    ("font", "why"),
    [
        (FONTS[0]._replace(package="fontpkg_not_there"), "is not installed"),
        (FONTS[0]._replace(name="Other.ttf"), "cannot be read"),
        (FONTS[0]._replace(sha256="0" * 64), "is not the font"),
    ],
)
def test_a_font_that_is_missing_or_another_is_told(font: FontFile, why: str) -> None:
    with pytest.raises(FontsUnusable, match=why):
        check_fonts([font])
