from pathlib import Path

import pytest

from contracts.money import parse_amount_minor
from demo import rows
from demo.money import to_minor
from demo.operations import Deposit, Transfer, Withdrawal
from demo.rows import Row, RowError, read_rows, survey

GOOD = "2026-01-01T00:00:00Z,external,alice,10.00,USD\n"


def csv_of(folder: Path, text: str | bytes) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_rows_are_read_in_order_with_their_lines(tmp_path: Path) -> None:
    text = "\ufefftime, from, to, amount, currency\r\n" + GOOD + '\n1767225600, alice ,"Bob, Ltd", 2.5, USD\n'

    rows = list(read_rows(csv_of(tmp_path, text)))

    assert rows == [
        Row(2, "2026-01-01T00:00:00Z", "external", "alice", "10.00", "USD"),
        Row(4, "1767225600", "alice", "Bob, Ltd", "2.50", "USD"),
    ]


@pytest.mark.parametrize("before", ["", "\n", "\r\n\n", ",,,,\n \n"])
@pytest.mark.parametrize("header", ["time,from,to,amount,currency\n", "Time,From,To,Amount,Currency\n", ""])
def test_empty_lines_before_the_first_row_do_not_count(tmp_path: Path, before: str, header: str) -> None:
    rows = list(read_rows(csv_of(tmp_path, before + header + "\n" + GOOD)))

    assert [(row.source, row.target) for row in rows] == [("external", "alice")]
    assert rows[0].line == (before + header).count("\n") + 2


@pytest.mark.parametrize(
    ("amount", "currency", "sent"),
    [
        ("100.0", "JPY", "100"),
        ("5.000", "USD", "5.00"),
        ("5.10000000000000000000", "USD", "5.10"),
        ("007.5", "USD", "7.50"),
        ("1.2340", "KWD", "1.234"),
        ("9000000000000.000", "USD", "9000000000000.00"),
    ],
)
def test_an_amount_is_sent_as_the_api_takes_it(tmp_path: Path, amount: str, currency: str, sent: str) -> None:
    (row,) = read_rows(csv_of(tmp_path, f"1,external,ann,{amount},{currency}\n"))

    assert row.command == Deposit("ann", sent, currency, "1")
    assert parse_amount_minor(sent, currency) == to_minor(amount, currency)


def test_external_is_the_world_outside(tmp_path: Path) -> None:
    text = GOOD + "1,alice,bob,1,USD\n2,bob,external,1,USD\n"

    deposit, transfer, withdrawal = (row.command for row in read_rows(csv_of(tmp_path, text)))

    assert deposit == Deposit("alice", "10.00", "USD", "2026-01-01T00:00:00Z")
    assert transfer == Transfer("alice", "bob", "1.00", "USD", "1")
    assert withdrawal == Withdrawal("bob", "1.00", "USD", "2")


def test_the_first_rows_alone_are_read(tmp_path: Path) -> None:
    assert len(list(read_rows(csv_of(tmp_path, GOOD * 3), first=2))) == 2


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("1,a,b,1", "4 values"),
        ("1,a,b,1,USD,more", "6 values"),
        ("yesterday,a,b,1,USD", "yesterday"),
        ("1,a,a,1,USD", "both 'a'"),
        ("1,external,external,1,USD", "both 'external'"),
        ("1,,b,1,USD", "empty"),
        (f"1,{'a' * 101},b,1,USD", "more than 100"),
        ("1,a\0,b,1,USD", "line 2"),
        ("1,a,b,-1,USD", "'-1'"),
        ("1,a,b,1e2,USD", "'1e2'"),
        ("1,a,b,0,USD", "greater than zero"),
        ("1,a,b,1.001,USD", "too many decimals"),
        ("1,a,b,9000000000001000,USD", "more than one amount may be"),
        ("1,a,b,1,usd", "'usd'"),
        ("1,a,b,1.0010,USD", "too many decimals"),
        ("1,a,b,1.,USD", "'1.'"),
        ("1" * 501 + ",a,b,1,USD", "more than 64"),
        ("2026-01-01T00:00:00." + "1" * 501 + "Z,a,b,1,USD", "more than 64"),
        ("1,External,b,1,USD", "'External' is not a wallet"),
        ("1,a,EXTERNAL,1,USD", "'EXTERNAL' is not a wallet"),
        ("Time,From,To,Amount,Currency", "named again"),
        ("date,from,to,amount,currency", "'date'"),
        ('1,"a"x,b,1,USD', "expected"),
        ('1,"a,b,1,USD', "unexpected end"),
    ],
)
def test_a_bad_row_is_an_error_that_names_its_line(tmp_path: Path, row: str, why: str) -> None:
    path = csv_of(tmp_path, GOOD + row + "\n")

    with pytest.raises(RowError) as told:
        list(read_rows(path))

    assert f"{path}, line 2: " in str(told.value)
    assert why in str(told.value)


def test_bytes_that_are_no_text_are_an_error_that_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="line 2: a name is not UTF-8"):
        list(read_rows(csv_of(tmp_path, GOOD.encode() + b"1,\xff,b,1,USD\n")))


def test_the_line_of_a_row_after_a_value_over_two_lines_is_counted_in_lines(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="line 4"):
        list(read_rows(csv_of(tmp_path, GOOD + '1,"a\nb",c,1,USD\n' + "1,a\n")))


def test_a_survey_counts_rows_and_samples_one_wallet_in_a_hundred(tmp_path: Path) -> None:
    text = "".join(f"1,external,wallet-{number},1,{'USD' if number % 2 else 'EUR'}\n" for number in range(3_000))

    count, sample = survey(read_rows(csv_of(tmp_path, text + text)))

    assert count == 6_000
    assert 10 < len(sample) < 60
    assert all(sample[name] == ("USD" if int(name.split("-")[1]) % 2 else "EUR") for name in sample)


def test_a_survey_keeps_no_more_than_one_endpoint_may_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "WATCHED_MAX", 5)
    text = "".join(f"1,external,wallet-{number},1,USD\n" for number in range(3_000))

    assert len(survey(read_rows(csv_of(tmp_path, text)))[1]) == 5
