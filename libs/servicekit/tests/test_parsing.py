"""Ids and instants are read alike by every route."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts import problems
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import Problem
from servicekit.http.routes.parsing import filtered_id, instant_of, path_id

wallet_id = path_id(problems.WALLET_NOT_FOUND, "There is no wallet {}.")
KNOWN = UUID("0197a0c0-0000-7000-8000-000000000001")


@pytest.mark.parametrize("text", [str(KNOWN), str(KNOWN).upper()])
def test_an_id_is_read_in_its_canonical_form(text: str) -> None:
    assert wallet_id(text) == KNOWN
    assert filtered_id(text, "wallet_id", "no id") == KNOWN


@pytest.mark.parametrize("text", ["", "x", "{}", KNOWN.hex, f"{{{KNOWN}}}", f"{KNOWN}\n", "x" * 100])
def test_text_that_is_no_id_is_not_found_in_a_path_and_refused_in_a_query(text: str) -> None:
    with pytest.raises(Problem) as missing:
        wallet_id(text)
    with pytest.raises(Problem) as refused:
        filtered_id(text, "wallet_id", "wallet_id is no id.")

    assert (missing.value.code, missing.value.detail) == (problems.WALLET_NOT_FOUND, f"There is no wallet {text[:64]}.")
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/wallet_id", "invalid_id")]


def test_a_filter_that_is_left_out_is_none() -> None:
    assert filtered_id(None, "wallet_id", "no id") is None


def test_an_instant_is_rfc_3339_or_refused_where_it_stands() -> None:
    with pytest.raises(Problem) as refused:
        instant_of("2026-01-31", "at", invalid_query)

    assert instant_of("2026-01-31T10:30:00+01:00", "at", invalid_query) == datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    assert refused.value.code is problems.INVALID_QUERY
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/at", "invalid_value")]
