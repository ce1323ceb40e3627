"""A ledger position survives the way to the client and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import SHARDS
from contracts.positions import PositionError, covers, format_position, parse_position


@given(st.dictionaries(st.integers(0, SHARDS - 1), st.integers(1, 2**60 - 1), min_size=1))
def test_a_position_is_read_back(position: dict[int, int]) -> None:
    assert parse_position(format_position(sorted(position.items()))) == position


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "64-1", "2-1, 1-1", "1-1, 1-2", "1-1;2-1", "1-1,", "a-1", "1--1"]
)
def test_a_malformed_position_is_refused(text: str) -> None:
    with pytest.raises(PositionError):
        parse_position(text)


def test_every_shard_must_be_reached() -> None:
    assert covers({1: 5, 2: 7}, {1: 5})
    assert not covers({1: 5}, {1: 5, 2: 1})
