"""Rows as bytes: what a spreadsheet must not carry out, what stays a number, and that nothing is lost."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transaction_history.domain.tables import Cell, CellKind, CsvWriter, Head, JsonLinesWriter
from transaction_history.exports import workbooks
from transaction_history.exports.workbooks import Workbook
from transaction_history.exports.writing import PartFile
from transaction_history.jobs.working import Stopped

HEADS = [
    Head("text", CellKind.TEXT),
    Head("amount", CellKind.DECIMAL),
    Head("version", CellKind.NUMBER),
    Head("is_forced", CellKind.FLAG),
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROWS = st.lists(
    st.tuples(
        st.none() | TEXTS,
        st.none() | st.sampled_from(["-12.34", "0.00", "7"]),
        st.none() | st.integers(),
        st.booleans(),
    ).map(list)
)
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_carry_out_gets_an_apostrophe(text: str) -> None:
    (row,) = read_csv(CsvWriter(HEADS).rows([[text, "-1.00", -1, None]]))

    assert row == [f"'{text}", "-1.00", "-1", ""]


@given(ROWS)
def test_csv_says_what_the_rows_say_and_no_cell_of_text_begins_a_formula(rows: list[list[Cell]]) -> None:
    given_rows = [[*row] for row in rows]

    read = read_csv(CsvWriter(HEADS).head() + CsvWriter(HEADS).rows(rows))

    assert read[0] == ["text", "amount", "version", "is_forced"]
    for before, after in zip(given_rows, read[1:], strict=True):
        text = before[0] or ""
        assert after[0] in (text, f"'{text}")
        assert after[0][:1] not in {"=", "+", "-", "@", "\t", "\r"}
        assert after[1:] == [
            str("" if cell is None else cell).replace("True", "true").replace("False", "false") for cell in before[1:]
        ]


@given(ROWS)
def test_json_lines_say_what_the_rows_say(rows: list[list[Cell]]) -> None:
    read = [json.loads(line) for line in JsonLinesWriter(HEADS).rows(rows).splitlines()]

    assert [list(each.values()) for each in read] == rows
    assert all(list(each) == [head.name for head in HEADS] for each in read)


@given(ROWS, st.integers(1, 5))
def test_rows_may_come_in_any_portions(rows: list[list[Cell]], size: int) -> None:
    whole = JsonLinesWriter(HEADS).rows([[*row] for row in rows])
    portions = b"".join(JsonLinesWriter(HEADS).rows(rows[at : at + size]) for at in range(0, len(rows), size))

    assert portions == whole


def write_part(path: Path, rows: list[list[Cell]]) -> Path:
    part = PartFile(path, is_packed=True)
    part.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    part.close()
    return path


def make_book(folder: Path, name: str, parts: list[Path]) -> Path:
    with Workbook(folder / name, folder, HEADS, title="entries", made_at=MADE_AT, go_on=lambda: None) as book:
        for part in parts:
            book.add_part(part)
        size = book.write()
    assert size == (folder / name).stat().st_size
    return folder / name


def test_a_workbook_has_numbers_texts_and_truths(tmp_path: Path) -> None:
    part = write_part(tmp_path / "part", [["=1+1", "-9007199254740.99", 3, True], [None, "0.10", None, False]])

    book = openpyxl.load_workbook(make_book(tmp_path, "book.xlsx", [part]))

    assert [[cell.value for cell in row] for row in book["entries 1"].iter_rows()] == [
        ["text", "amount", "version", "is_forced"],
        ["'=1+1", -9007199254740.99, 3, True],
        [None, 0.1, None, False],
    ]
    assert {cell.data_type for cell in book["entries 1"]["B"][1:]} == {"n"}


def test_the_same_rows_give_the_same_workbook_and_a_sheet_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "SHEET_ROWS", 2)
    parts = [write_part(tmp_path / f"part{at}", [[f"{at}", "1.00", at, True]]) for at in range(3)]

    first, second = (make_book(tmp_path, name, parts) for name in ("a.xlsx", "b.xlsx"))

    assert first.read_bytes() == second.read_bytes()
    assert [sheet.max_row for sheet in openpyxl.load_workbook(first)] == [3, 2]


def test_a_workbook_in_the_making_ends_where_it_is_told_to(tmp_path: Path) -> None:
    def stop() -> None:
        raise Stopped

    part = write_part(tmp_path / "part", [["x", "1.00", 1, True]])
    with Workbook(tmp_path / "book.xlsx", tmp_path, HEADS, title="entries", made_at=MADE_AT, go_on=stop) as book:
        with pytest.raises(Stopped):
            book.add_part(part)
        with pytest.raises(Stopped):
            book.write()
