import subprocess
import sys
from pathlib import Path

import pytest

ROWS = """\
time,from,to,amount,currency
2026-01-01T00:00:00Z,external,alice,10.00,USD
2026-01-01T00:00:01Z,alice,bob,4.00,USD
2026-01-01T00:00:02Z,bob,alice,5.00,USD
2026-01-01T00:00:03Z,external,bob,1.00,EUR
2026-01-01T00:00:04Z,bob,external,4.00,USD
2026-01-01T00:00:05Z,external,carol,700,JPY
"""


def demo(rows: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", "--input", str(rows)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_rows_are_played_in_order_and_reconciled(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS)

    ended = demo(rows)

    told = {tuple(line.split()) for line in ended.stdout.splitlines()}
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Every invariant holds." in ended.stdout
    assert {("operations", "6"), ("wallets", "3"), ("transactions", "4")} <= told
    # Three openings and four movements; Bob never has 5.00, and no euros.
    assert {("accepted", "7"), ("insufficient_funds", "1"), ("currency_mismatch", "1")} <= told


def test_a_bad_row_ends_the_demo_before_anything_starts(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS + "2026-01-01T00:00:06Z,carol,carol,1,JPY\n")

    ended = demo(rows)

    assert ended.returncode == 1
    assert ended.stderr == f"error: {rows}, line 8: from and to are both 'carol'\n"
    assert "the platform is up" not in ended.stdout


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("time,from,to,amount,currency\n")

    ended = demo(rows)

    assert (ended.returncode, ended.stderr) == (1, f"error: {rows} has no rows\n")
