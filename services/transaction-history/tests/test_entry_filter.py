"""Filters and queries: what they are parsed to, what is refused, and that their terms miss no entry."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.events import Private, parse_data
from contracts.ids import new_id
from testkit.events import EPOCH, TENANT, Stream, wallet_in
from transaction_history.domain.entry_filter import EntryFilter, FilterRefused, parse_filter
from transaction_history.domain.folds import fold as fold_rows
from transaction_history.domain.index import fold
from transaction_history.domain.matching import Entry
from transaction_history.domain.private_text import NO_TEXT, stored_private
from transaction_history.domain.rows import EntryRow
from transaction_history.domain.search_query import QueryError, Words, parse_query
from transaction_history.domain.term_query import TermQuery, terms_of
from transaction_history.domain.terms import Hasher

HASHER = Hasher(b"a key of this test")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ("pay", "payment", "Zürich", "naïve", "東京都", "order-7", "x", "12.50")
OWNERS = ("ann", "bob")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "too_short"),
        ("  ", "too_short"),
        ("!!! -", "too_short"),
        ("a" * 201, "too_long"),
        ("a b c d e f g h i", "too_many"),
        ('"a', "invalid_value"),
        ('a"b"', "invalid_value"),
        ("a\0", "invalid_text"),
        ("\ud800", "invalid_text"),
        ("a \ufffd", "invalid_text"),
        ("reference:", "too_short"),
        ('type:""', "too_short"),
        ("-type:deposit", "invalid_value"),
        ("wallet:mine", "invalid_id"),
        ("amount:>1e3", "invalid_amount"),
        ("amount:-1", "invalid_amount"),
    ],
)
def test_what_is_no_query_is_refused(text: str, code: str) -> None:
    with pytest.raises(QueryError) as refused:
        parse_query(text)
    assert refused.value.code == code


def test_a_query_is_words_phrases_and_fields() -> None:
    query = parse_query('Rent "of May" -fee reference:A-1 metadata.Shop:"North End" currency:usd amount:>=10 flat')

    assert query.wanted == (Words(("rent",)), Words(("of", "may")), Words(("flat",), is_prefix=True))
    assert query.excluded == (Words(("fee",)),)
    assert query.references == ("a-1",)
    assert query.metadata == (("shop", "north end"),)
    assert query.currencies == ("USD",)
    assert [(bound.sign, bound.amount) for bound in query.amounts] == [(">=", "10")]


def test_the_last_word_is_a_prefix_from_three_characters_on() -> None:
    assert not parse_query("ab").wanted[0].is_prefix
    assert parse_query("abc").wanted[0].is_prefix
    assert not parse_query('"abc"').wanted[0].is_prefix
    assert not parse_query("-abc x").excluded[0].is_prefix


@pytest.mark.parametrize(
    ("given_", "faults"),
    [
        ({"nothing": "x"}, [("nothing", "unknown_field")]),
        ({"wallet_id": "mine"}, [("wallet_id", "invalid_id")]),
        ({"type": "wallet.opened.v1"}, [("type", "invalid_value")]),
        ({"direction": "up"}, [("direction", "invalid_value")]),
        ({"currency": "ZZZ"}, [("currency", "unknown_currency")]),
        ({"amount_min": "1"}, [("amount_min", "missing")]),
        ({"amount_min": "1", "currency": "USD,EUR"}, [("amount_min", "missing")]),
        ({"amount_min": "1e2", "currency": "USD"}, [("amount_min", "invalid_amount")]),
        ({"amount_max": "1.001", "currency": "USD"}, [("amount_max", "too_many_decimals")]),
        ({"amount_min": "2", "amount_max": "1", "currency": "USD"}, [("amount_min", "invalid_value")]),
        ({"from": "2026-01-01T00:00:00"}, [("from", "invalid_value")]),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, [("from", "invalid_value")]),
        ({"reference": ""}, [("reference", "too_short")]),
        ({"reference": "a\0"}, [("reference", "invalid_text")]),
        ({"owner_id": ",".join("abcdefghijklmnopqrstu")}, [("owner_id", "too_many")]),
        ({f"metadata.{number}": "x" for number in range(6)}, [("metadata.5", "too_many")]),
        ({"metadata.": "x"}, [("metadata.", "invalid_name")]),
        ({"q": "amount:>1"}, [("q", "missing")]),
        ({"q": "currency:zzz"}, [("q", "unknown_currency")]),
        ({"q": "amount:>1.001 currency:USD"}, [("q", "too_many_decimals")]),
    ],
)
def test_what_is_no_filter_is_refused(given_: Mapping[str, str], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(FilterRefused) as refused:
        parse_filter(given_)
    assert [(fault.name, fault.code) for fault in refused.value.faults] == faults


def test_several_values_are_separated_by_commas() -> None:
    assert parse_filter({"owner_id": r"ann,b\,c,ann"}).owner_ids == ("ann", "b,c")


def test_amounts_are_bounds_of_one_currency() -> None:
    found = parse_filter({"amount_min": "1.50", "currency": "USD", "q": "amount:<9 amount:>=2"})

    assert (found.amount_min_minor, found.amount_max_minor) == (200, 899)
    assert found.amounts == (200, 899)
    assert EntryFilter().amounts[0] == 1
    assert EntryFilter(types=("wallet.hold_placed.v1",)).amounts[0] == 0


# -- entries and what lets them through


def rows_of(events: list[Envelope]) -> list[tuple[EntryRow, Private, set[int]]]:
    """Return the entries that *events* make, with their free text and their terms."""
    parsed = [(event, parse_data(event.type, event.data)) for event in events]
    entries = fold_rows(parsed, {}).entries
    texts = [getattr(data, "private", None) or NO_TEXT for _, data in parsed]
    index = fold([(*each, text) for each, text in zip(parsed, texts, strict=True)], {}, HASHER, now=NOW)
    terms = {row.event_id: set(row.terms) for row in index.search}
    return [(row, stored_private(row.private) or NO_TEXT, terms[row.event_id]) for row in entries]


def entry(stream: Stream, text: Private) -> tuple[EntryRow, Private, set[int]]:
    """Return Ann's entry of a transfer to Bob."""
    anns, bobs = wallet_in(1), wallet_in(2)
    opened = [stream.opened(anns, owner="ann"), stream.opened(bobs, owner="bob")]
    opened += stream.deposit(anns, 1_000, owner="ann")
    transfer = stream.transfer(anns, bobs, 250, owners=OWNERS, private=text)
    return rows_of([*opened, *transfer])[1]


def has(terms: set[int], wanted: TermQuery) -> bool:
    return terms.issuperset(wanted.required) and all(terms & set(group) for group in wanted.any_of)


texts = st.builds(
    Private,
    key_id=st.none(),
    reference=st.none() | st.sampled_from(WORDS),
    description=st.none() | st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
    metadata=st.none() | st.dictionaries(st.sampled_from(["shop", "Till"]), st.sampled_from(WORDS), max_size=2),
    label=st.none(),
    destination=st.none() | st.sampled_from(WORDS),
    reason=st.none(),
)
queries = st.lists(
    st.sampled_from(WORDS).flatmap(
        lambda word: st.sampled_from(
            [word, word[:3], word.upper(), f'"{word}"', f"-{word}", f"reference:{word}", f"metadata.shop:{word}"]
        )
    )
    | st.sampled_from(["type:transfer", "owner:ann", "counterparty:bob", "currency:usd amount:>1"]),
    min_size=1,
    max_size=4,
).map(" ".join)


@given(texts, queries, st.sampled_from([None, frozenset({"ann"}), frozenset(OWNERS)]))
def test_an_entry_that_a_query_lets_through_has_its_terms(
    text: Private, query: str, acts_for: frozenset[str] | None
) -> None:
    row, private, terms = entry(Stream(), text)
    asked = parse_filter({"q": query})

    if Entry(row, private, acts_for).matches(asked):
        assert has(terms, terms_of(asked, HASHER.of(TENANT), acts_for=acts_for))


TEXT = Private(
    key_id=None,
    reference="Order-7",
    description="Rent of May, naïve",
    metadata={"shop": "North"},
    label=None,
    destination=None,
    reason=None,
)


@pytest.mark.parametrize(
    ("query", "is_through"),
    [
        ("rent", True),
        ("ren", True),
        ("re", False),
        ("renter", False),
        ("NAIVE rent", True),
        ('"rent of may"', True),
        ('"of rent"', False),
        ("order-7", True),
        ("7-order", False),
        ("rent -may", False),
        ("rent -june", True),
        ("reference:order-7", True),
        ("reference:order", False),
        ("metadata.shop:north", True),
        ("metadata.till:north", False),
        ("type:transfer", True),
        ("type:wallet.funds_sent.v1", True),
        ("type:deposit", False),
        ("counterparty:bob", True),
        ("owner:bob", False),
        ("currency:eur", False),
        ("currency:usd amount:>2", True),
        ("currency:usd amount:<2.5", False),
        ("currency:usd amount:2.50", True),
    ],
)
def test_a_query_lets_these_through(query: str, is_through: bool) -> None:  # noqa: FBT001  a parameter of the table
    row, private, terms = entry(Stream(), TEXT)
    asked = parse_filter({"q": query})

    assert Entry(row, private, None).matches(asked) is is_through
    if is_through:
        assert has(terms, terms_of(asked, HASHER.of(TENANT)))


def test_filters_compare_exactly_and_ids_are_found_whatever_they_name() -> None:
    row, private, terms = entry(Stream(), TEXT)
    mine = Entry(row, private, None)
    through = [
        {"wallet_id": f"{new_id()},{row.wallet_id}"},
        {"owner_id": "ann"},
        {"transaction_id": str(row.transaction_id)},
        {"type": row.type},
        {"transaction_type": "transfer"},
        {"direction": "out"},
        {"counterparty_wallet_id": str(row.counterparty_wallet_id)},
        {"counterparty_owner_id": "bob,carol"},
        {"reference": "Order-7"},
        {"metadata.shop": "South,North"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "amount_max": "2.50", "currency": "USD"},
        *({"q": str(known)} for known in (row.event_id, row.transaction_id, row.wallet_id, row.counterparty_wallet_id)),
    ]
    not_through = [
        {"wallet_id": str(new_id())},
        {"direction": "in"},
        {"counterparty_account": "external:USD"},
        {"reference": "order-7"},
        {"metadata.shop": "north"},
        {"hold_id": str(new_id())},
        {"amount_min": "2.51", "currency": "USD"},
        {"to": EPOCH.isoformat()},
        {"q": str(new_id())},
    ]

    for each in through:
        assert mine.matches(parse_filter(each)), each
        assert has(terms, terms_of(parse_filter(each), HASHER.of(TENANT))), each
    for each in not_through:
        assert not mine.matches(parse_filter(each)), each


def test_who_acts_for_one_side_is_not_told_the_others_name() -> None:
    row, private, terms = entry(Stream(), TEXT)
    anns = frozenset({"ann"})

    for asked in (parse_filter({"q": "counterparty:bob"}), parse_filter({"counterparty_owner_id": "bob"})):
        assert not Entry(row, private, anns).matches(asked)
        assert not has(terms, terms_of(asked, HASHER.of(TENANT), acts_for=anns))
    assert terms_of(parse_filter({"counterparty_owner_id": "bob"}), HASHER.of(TENANT), acts_for=anns).is_vain


def test_what_changed_held_alone_is_left_out_unless_its_type_is_named() -> None:
    row, private, _ = entry(Stream(), TEXT)
    held = Entry(msgspec.structs.replace(row, amount_minor=0, type="wallet.hold_placed.v1"), private, None)

    assert not held.matches(EntryFilter())
    assert held.matches(EntryFilter(types=("wallet.hold_placed.v1",)))


def test_a_whole_word_in_the_reference_counts_most() -> None:
    row, private, _ = entry(Stream(), TEXT)
    mine = Entry(row, private, None)
    score = {query: mine.score(parse_query(query)) for query in ("order", "rent", "ren", "north", UUID(int=1).hex)}

    assert score["order"] > score["rent"] > score["ren"] > 0
    assert score["rent"] > score["north"]
    assert mine.score(None) == 0
