"""Rows become one array for each column."""

from dataclasses import dataclass

from servicekit.columns import columns


@dataclass
class Row:
    id: int
    name: str


def test_every_column_has_the_order_of_the_rows() -> None:
    assert columns([Row(2, "b"), Row(1, "a")], "name", "id") == [["b", "a"], [2, 1]]


def test_no_rows_are_columns_without_values() -> None:
    assert columns([], "name", "id") == [[], []]
