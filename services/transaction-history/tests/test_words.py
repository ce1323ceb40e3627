"""What words a text has, and what they are hashed to."""

from contextlib import suppress
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testkit.events import TENANT
from transaction_history.domain.private_text import NO_TEXT
from transaction_history.domain.search_query import QueryError, SearchQuery, parse_query
from transaction_history.domain.terms import Field, Hasher, terms_of_text
from transaction_history.domain.words import normalised, words_of

KEY = b"a key of this test"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Straße, ÇA va?", ("strasse", "ca", "va")),
        ("\ufb01ne \uff21\uff22", ("fine", "ab")),
        ("can't 3.14 order-1", ("can't", "3.14", "order", "1")),
        ("東京都へ at 駅", ("東京", "京都", "都へ", "at", "駅")),
        ("กขค", ("กข", "ขค")),
        ("İSTANBUL istanbul", ("istanbul", "istanbul")),
        ("!!! — …", ()),
    ],
)
def test_a_text_has_these_words(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@given(st.text())
def test_case_does_not_matter(text: str) -> None:
    assert words_of(text.casefold()) == words_of(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_the_short_way_for_plain_text_comes_to_the_same(text: str) -> None:
    assert normalised(text) == normalised(text + "\u0301").removesuffix("\u0301")


@given(st.text(max_size=60), st.data())
def test_every_word_that_is_indexed_is_found_by_typing_it(text: str, data: st.DataObject) -> None:
    words = words_of(text)
    if not words:
        return
    word = data.draw(st.sampled_from(words))

    assert words_of(word) == (word,)


@given(st.text(max_size=200))
def test_a_query_is_parsed_or_refused_by_a_code(text: str) -> None:
    with suppress(QueryError):
        assert parse_query(text) != SearchQuery()


def test_terms_differ_by_tenant_field_value_and_key() -> None:
    hasher = Hasher(KEY)
    other = UUID(int=TENANT.int + 1)
    terms = {
        hasher.of(TENANT).term(Field.WORD, "one"),
        hasher.of(TENANT).term(Field.WORD, "two"),
        hasher.of(TENANT).term(Field.PREFIX, "one"),
        hasher.of(other).term(Field.WORD, "one"),
        Hasher(b"another key of it").of(TENANT).term(Field.WORD, "one"),
    }

    assert len(terms) == 5
    assert all(-(2**63) <= term < 2**63 for term in terms)


def test_a_term_is_what_it_was() -> None:
    assert Hasher(KEY).of(TENANT).term(Field.WORD, "straße") == VECTOR


def test_a_text_comes_to_its_reference_its_pairs_its_words_and_their_beginnings() -> None:
    hasher = Hasher(KEY).of(TENANT)
    text = msgspec.structs.replace(NO_TEXT, reference="A-1", description="a Fine thing", metadata={"Shop": "North"})

    assert list(terms_of_text(hasher, text)) == [
        hasher.term(Field.REFERENCE, "a-1"),
        hasher.term(Field.METADATA, "shop\0north"),
        *(hasher.term(Field.WORD, word) for word in ("a", "1", "fine", "thing", "north")),
        *(hasher.term(Field.PREFIX, begun) for begun in ("fin", "thi", "nor")),
    ]


VECTOR = 7806472806727365451
"""Pinned: another value would be another index."""
