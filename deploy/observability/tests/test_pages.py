"""What Prometheus answers is drawn and written as it is, and what it does not answer is named."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from typer.testing import CliRunner

from engines.ports import free_ports
from local_stack.config import Config
from local_stack.credentials import Credentials
from observability.__main__ import app
from observability.asking import Answer, NotAsked, PrometheusClient, Series, named
from observability.asking_postgres import ask_database
from observability.dashboards.overview import OVERVIEW
from observability.looking import Look, addresses_of, have_wallets_ranked
from observability.pages import judged, page
from observability.panels import GOOD, Needs, Panel, Query, Unit, View, above, below
from observability.writing import told, written

AT: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOW: Final = AT.timestamp()


def a_panel(**changed: Any) -> Panel:
    """Return a panel with two queries, but for what is *changed*."""
    return Panel(
        **{
            "number": 1,
            "title": "Lag",
            "told": "How far <it> is behind.",
            "view": View.LINES,
            "unit": Unit.SECONDS,
            "thresholds": above(30),
            "page": "runbooks/RelayLag.md",
            "queries": (Query("max by (service) (a)", "{{service}}"), Query("max by (service) (b)", "b {{service}}")),
            **changed,
        }
    )


def a_series(legend: str, *values: float) -> Series:
    """Return a series with a value every 15 s until now."""
    begin = NOW - 15 * (len(values) - 1)
    return Series(legend, {}, [(begin + 15 * number, value) for number, value in enumerate(values)])


def answering(*results: Mapping[str, Any]) -> PrometheusClient:
    """Return a client of a Prometheus that answers one query after another with *results*."""
    left = list(results)

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert float(request.url.params["end"]) == NOW
        return httpx2.Response(200, json=left.pop(0))

    client = httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://prometheus")
    return PrometheusClient(client, NOW)


def matrix(*series: tuple[dict[str, str], list[str]]) -> dict[str, Any]:
    """Return the answer of Prometheus that has *series*, each with its labels and values."""
    result = [{"metric": labels, "values": [[NOW, value] for value in values]} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def test_series_are_named_by_their_labels() -> None:
    found = answering(
        matrix(({"service": "wallet"}, ["1.5"]), ({"service": "fraud"}, ["NaN", "2"])), matrix(({}, ["0"]))
    )

    answer = found.answer(a_panel())

    assert [[each.legend for each in series] for series in answer.series] == [["fraud", "wallet"], ["b"]]
    assert answer.series[0][0].points == [(NOW, 2.0)]
    assert answer.is_filled


@pytest.mark.parametrize("second", [matrix(), matrix(({"service": "wallet"}, ["NaN"]))])
def test_a_panel_is_filled_when_each_of_its_queries_has_a_value(second: Mapping[str, Any]) -> None:
    found = answering(matrix(({"service": "wallet"}, ["1"])), second)

    assert not found.answer(a_panel()).is_filled


def test_what_prometheus_refuses_is_told() -> None:
    found = answering({"status": "error", "error": "parse error"})

    with pytest.raises(NotAsked, match="parse error"):
        found.answer(a_panel())


def test_a_prometheus_that_is_away_is_told_with_what_starts_it() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    client = httpx2.Client(transport=httpx2.MockTransport(refuse), base_url="http://prometheus")

    with pytest.raises(NotAsked, match="make up OBSERVE=1"):
        PrometheusClient(client, NOW).answer(a_panel())


def test_labels_that_a_series_lacks_are_left_out_of_its_legend() -> None:
    assert named("{{service}} {{error}}", {"service": "wallet"}) == "wallet"
    assert named("p99 {{a}} of {{b}}", {"a": "x", "b": "y"}) == "p99 x of y"


async def test_a_database_that_is_away_is_told() -> None:
    with pytest.raises(NotAsked, match="the database does not answer"):
        await ask_database(
            f"postgresql://dashboards@127.0.0.1:{free_ports(1)[0]}/x", a_panel(queries=(), sql="select 1")
        )


def shown(answer: Answer) -> str:
    """Return the page of a dashboard with one panel."""
    return page(OVERVIEW, [answer], ["overview", "wallet"], AT)


def test_lines_are_drawn_with_the_threshold_that_they_cross() -> None:
    text = shown(Answer(panel=a_panel(), series=[[a_series("wallet", 0, 60)], [a_series("b", 1, 2)]]))

    assert text.count("<polyline") == 2
    assert text.count('class="limit"') == 1
    assert 'class="bad">60 s' in text
    assert text.count("&#9632;") == 2
    assert "How far &lt;it&gt; is behind." in text


def test_a_threshold_beyond_what_is_drawn_is_left_out() -> None:
    text = shown(Answer(panel=a_panel(), series=[[a_series("wallet", 0, 6)], [a_series("b", 1, 2)]]))

    assert 'class="limit"' not in text


def test_one_value_and_no_finite_value_are_drawn() -> None:
    assert "<polyline" in shown(Answer(panel=a_panel(), series=[[a_series("wallet", 0)], []]))
    assert "∞" in shown(Answer(panel=a_panel(), series=[[a_series("wallet", float("inf"))], []]))


def test_buckets_have_what_is_beyond_those_below() -> None:
    series = [a_series("+Inf", 6), a_series("10", 6), a_series("2", 4), a_series("1", 1)]
    text = shown(Answer(panel=a_panel(view=View.BUCKETS, unit=Unit.COUNT), series=[series]))

    assert re.findall(r'fill-opacity="([\d.]+)"', text) == ["0.33", "1.00", "0.67"]
    assert "darkest: 3" in text


def test_cells_have_a_row_for_each_series() -> None:
    series = [a_series(str(shard), shard) for shard in range(64)]
    text = shown(Answer(panel=a_panel(view=View.CELLS, unit=Unit.COUNT), series=[series]))

    assert text.count("<rect") == 63


def test_a_table_shows_the_largest_first_and_how_many_there_are_beyond() -> None:
    series = [a_series(f"table {number}", number) for number in range(50)]
    text = shown(Answer(panel=a_panel(view=View.TABLE, unit=Unit.COUNT, thresholds=GOOD), series=[series]))

    assert text.index("table 49") < text.index("table 48")
    assert "and 10 more" in text


def test_rows_of_the_database_are_a_table() -> None:
    panel = a_panel(queries=(), sql="select 1")
    answer = Answer(panel=panel, columns=["wallet_id", "posted_minor"], rows=[("<w>", Decimal("1E+5"))])

    assert "<td>&lt;w&gt;</td><td>100000</td>" in shown(answer)
    assert "No data" in shown(Answer(panel=panel))


def test_a_page_has_links_and_no_script() -> None:
    text = shown(Answer(panel=a_panel()))

    assert 'href="wallet.html"' in text
    assert "<script" not in text
    assert "2026-11-30 12:00:00" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0034, Unit.SECONDS, "3.4 ms"),
        (0, Unit.SECONDS, "0 s"),
        (90, Unit.SECONDS, "90 s"),
        (150, Unit.SECONDS, "2.5 min"),
        (400_000, Unit.SECONDS, "4.63 d"),
        (0.5, Unit.SHARE, "50 %"),
        (1_048_000_000, Unit.BYTES, "999 MiB"),
        (1_023 * 1_024 * 1_024, Unit.BYTES, "1023 MiB"),
        (2_048, Unit.BYTES_PER_S, "2 KiB/s"),
        (1, Unit.YES_NO, "yes"),
        (5_999.6, Unit.COUNT, "6000"),
        (12_345, Unit.COUNT, "12.3 k"),
        (0.25, Unit.PER_S, "0.25/s"),
        (float("-inf"), Unit.COUNT, "-∞"),
    ],
)
def test_values_are_written_with_their_units(value: float, unit: Unit, text: str) -> None:
    assert written(value, unit) == text


def test_values_of_the_database_are_written_for_people() -> None:
    assert [told(each) for each in (Decimal("1E+2"), AT, "x", 3)] == ["100", "2026-11-30 12:00:00", "x", "3"]


@pytest.mark.parametrize(
    ("value", "thresholds", "word"),
    [
        (5, above(10, look=5), "look"),
        (10, above(10, look=5), "bad"),
        (4, above(10, look=5), "good"),
        (1, below(1, look=3), "look"),
        (0, below(1, look=3), "bad"),
        (3, below(1, look=3), "good"),
        (9, GOOD, "good"),
    ],
)
def test_values_are_judged_by_thresholds(value: float, thresholds: Any, word: str) -> None:
    assert judged(value, thresholds) == word


def test_panels_without_data_are_named_and_those_excused_apart() -> None:
    empty = Answer(panel=a_panel())
    excused = Answer(panel=a_panel(title="Delay", needs=Needs.STANDBY))
    filled = Answer(panel=a_panel(queries=(Query("x:y:z", ""),)), series=[[a_series("x", 1)]])

    found = Look({"database": [excused, filled], "pipeline": [Answer(panel=empty.panel, series=[[], []])]})

    assert (found.filled, found.missing) == (1, ["pipeline: Lag"])
    assert found.excused == ["database: Delay: no standby follows the database"]


def stack_file(folder: Path, **changed: Any) -> Config:
    """Return the stack whose file in *folder* is as of one that is watched, but for what is *changed*."""
    watched = {
        "services": {"transaction_history": {"url": "http://history"}},
        "observers": {"prometheus": {"pid": 1, "url": "http://prometheus"}},
        "outsiders": {"dashboards": "postgresql://dashboards:secret@localhost/x"},
    }
    (folder / "stack.json").write_text(json.dumps({**watched, **changed}))
    return Config({"LOCAL_STACK_STATE": str(folder)})


def test_addresses_are_those_of_the_running_stack_without_its_password(tmp_path: Path) -> None:
    found = addresses_of(stack_file(tmp_path))

    assert (found.history, found.prometheus) == ("http://history", "http://prometheus")
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("changed", "advice"), [({"observers": {}}, "make up OBSERVE=1"), ({"outsiders": {}}, "_DATABASE_URL")]
)
def test_a_stack_that_is_not_watched_says_what_to_do(changed: dict[str, Any], advice: str, tmp_path: Path) -> None:
    with pytest.raises(NotAsked, match=advice):
        addresses_of(stack_file(tmp_path, **changed))


def test_without_a_stack_the_command_says_what_to_do_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_STACK_STATE", str(tmp_path))

    ran = CliRunner().invoke(app, ["check-dashboards", "--out", str(tmp_path / "pages")])

    assert ran.exit_code == 1
    assert "make up OBSERVE=1" in ran.output
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize("told_why", ["there is no service key yet"])
def test_a_history_that_cannot_be_asked_says_so(told_why: str, tmp_path: Path) -> None:
    with pytest.raises(NotAsked, match=told_why):
        have_wallets_ranked("http://history", Credentials(tmp_path))


def test_the_command_ends_with_1_where_a_panel_has_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Callable[..., Look]] = {
        "filled": lambda *_: Look({}),
        "empty": lambda *_: Look({"pipeline": [Answer(panel=a_panel(), series=[[], []])]}),
    }
    ended = {}
    for name, answer in answers.items():
        monkeypatch.setattr("observability.__main__.look", answer)
        ended[name] = CliRunner().invoke(app, ["check-dashboards", "--out", str(tmp_path)])

    assert {name: ran.exit_code for name, ran in ended.items()} == {"filled": 0, "empty": 1}
    assert "without data: pipeline: Lag" in ended["empty"].output
