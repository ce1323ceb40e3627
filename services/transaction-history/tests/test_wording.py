"""How amounts, dates and texts of a statement are written."""

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transaction_history.rendering.fonts import covered_characters
from transaction_history.rendering.printable import MAY_BREAK, Printable, printable
from transaction_history.rendering.wording import MINUS, WORDINGS, Wording

LOCALES = sorted(WORDINGS)
LATIN = [frozenset(range(0x20, 0x180))]


@pytest.mark.parametrize(
    ("locale", "exponent", "shown"),
    [
        ("en", 2, f"{MINUS}12,345,678.90"),
        ("de", 2, f"{MINUS}12.345.678,90"),
        ("ar", 2, f"{MINUS}12,345,678.90"),
        ("en", 0, f"{MINUS}1,234,567,890"),
        ("de", 3, f"{MINUS}1.234.567,890"),
    ],
)
def test_an_amount_is_written_so(locale: str, exponent: int, shown: str) -> None:
    assert WORDINGS[locale].amount_text(-1_234_567_890, exponent) == shown


@given(st.sampled_from(LOCALES), st.integers(-(9 * 10**18), 9 * 10**18), st.integers(0, 9))
def test_no_digit_of_an_amount_is_lost(locale: str, amount: int, exponent: int) -> None:
    text = WORDINGS[locale].amount_text(amount, exponent)

    assert int(re.sub(r"\D", "", text)) == abs(amount)
    assert text.startswith(MINUS) == (amount < 0)
    assert len(text.rpartition(WORDINGS[locale].decimal)[2]) == exponent or exponent == 0


@pytest.mark.parametrize(("locale", "shown"), [("en", "7 Mar 2026"), ("de", "07.03.2026"), ("ar", "07/03/2026")])
def test_a_day_is_written_so(locale: str, shown: str) -> None:
    assert WORDINGS[locale].date_text(date(2026, 3, 7)) == shown


def test_a_time_is_that_of_the_zone() -> None:
    instant = datetime(2026, 7, 31, 23, 30, tzinfo=UTC)

    assert WORDINGS["en"].instant_texts(instant, "Europe/Lisbon") == ("1 Aug 2026", "00:30:00")


@pytest.mark.parametrize(("hour", "shown"), [(0, "01:30:00 +0100"), (1, "01:30:00 +0000")])
def test_a_time_that_clocks_show_twice_has_its_offset(hour: int, shown: str) -> None:
    instant = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)

    assert WORDINGS["en"].instant_texts(instant, "Europe/Lisbon") == ("25 Oct 2026", shown)


def test_a_type_without_a_name_is_told_by_its_code() -> None:
    assert WORDINGS["de"].headline("something_new", "wallet.funds_sent.v1") == "something_new"
    assert WORDINGS["de"].headline("transfer", "wallet.fee_charged.v1") == "Gebühr (Überweisung)"


@pytest.mark.parametrize("wording", [WORDINGS[locale] for locale in LOCALES], ids=LOCALES)
def test_every_locale_names_what_english_names_in_letters_that_fonts_have(wording: Wording) -> None:
    assert wording.types.keys() == WORDINGS["en"].types.keys()
    assert wording.events.keys() == WORDINGS["en"].events.keys()
    texts = [getattr(wording, name) for name in Wording.__slots__]
    for text in (*(text for text in texts if isinstance(text, str)), *wording.types.values(), *wording.events.values()):
        found = printable(text, covered_characters())

        assert (found.text.replace(MAY_BREAK, ""), found.unknown) == (text, 0)


@pytest.mark.parametrize("wording", [WORDINGS[locale] for locale in LOCALES], ids=LOCALES)
def test_every_locale_has_the_places_that_english_has(wording: Wording) -> None:
    for name in ("span", "holds_left_out", "number", "issue", "volume", "page"):
        places = re.findall(r"\{\w+\}", getattr(WORDINGS["en"], name))

        assert re.findall(r"\{\w+\}", getattr(wording, name)) == places


@pytest.mark.parametrize(
    ("text", "shown", "unknown"),
    [
        ("rent #1 *of* $may$", "rent #1 *of* $may$", 0),
        ("  a\r\n\tb\u00a0c  ", "a b c", 0),
        ("e\u0301", "é", 0),
        ("NUL\x00, ESC\x1b", "NUL, ESC", 0),
        ("\u202eevil\u202c \u2066a\u2069\u200b", "evil a", 0),
        ("中文 rent", "U+4E2D U+6587 rent", 2),
        ("a\ud800b", "a U+D800 b", 1),
        ("😀!", "U+1F600 !", 1),
        ("x\u20dd", "x U+20DD", 1),
    ],
)
def test_a_text_is_set_so(text: str, shown: str, unknown: int) -> None:
    assert printable(text, LATIN) == Printable(shown, unknown)


def test_a_mark_is_not_set_in_another_font_than_its_letter() -> None:
    assert printable("q\u064b", [frozenset({ord("q")}), frozenset({0x64B})]) == Printable("q U+064B", 1)


def test_a_long_word_may_be_broken() -> None:
    assert printable("a" * 24, LATIN).text == "a" * 24
    assert printable("a" * 30, LATIN).text == MAY_BREAK.join(["a" * 12, "a" * 12, "a" * 6])


@given(st.text(), st.integers(0, 3))
def test_what_can_be_set_stays_as_it_is(text: str, words: int) -> None:
    once = printable(text * words, covered_characters()).text.replace(MAY_BREAK, "")

    assert printable(once, covered_characters()).text.replace(MAY_BREAK, "") == once
    once.encode()


@given(st.text(alphabet=st.characters(max_codepoint=0x17F)))
def test_the_short_way_comes_to_the_same(text: str) -> None:
    by_clusters = printable(f"{text} \u200d", LATIN)

    assert by_clusters.text.replace("\u200d", "").strip() == printable(text, LATIN).text
