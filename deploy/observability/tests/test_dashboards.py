"""Every panel says what it tells and what to do, asks one thing of metrics that there are, and stands on its own."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from deploy.observability.tests import known_metrics

from engines import checkout, debian
from observability.catalogue import catalogue
from observability.dashboards import DASHBOARDS
from observability.dashboards.overview import OVERVIEW
from observability.grafana import FOLDER, files
from observability.panels import WIDTH, Dashboard, Panel, Place, Thresholds, View, places
from observability.promql import family_of, metric_names
from observability.reading import expressions, read_by, shown

PANELS: Final = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
ASKED: Final = [(dashboard.name, query.expr) for dashboard, panel in PANELS for query in panel.queries]
NAMES: Final = (
    *("overview", "wallet", "pipeline", "notifications", "fraud", "invariants", "database", "kafka"),
    *("gateway-and-release", "process"),
)
_SELECTOR: Final = r"[a-zA-Z_:][\w:]*(?:\{[^{}]*\})?"
_GROWTH: Final = rf"(?:rate|increase)\({_SELECTOR}\[\d+[smh]\]\)"
_AGGREGATED: Final = rf"(?:sum|max|min|count|topk) by \([\w, ]+\) \((?:\d+, )?(?:{_SELECTOR}|{_GROWTH})\)"
_QUANTILE: Final = rf"histogram_quantile\([\d.]+, {_AGGREGATED}\)"
_RECORDED: Final = r"\w+:\w+:\w+(?:\{[^{}]*\})?"
ONE_QUESTION: Final = re.compile(rf"{_RECORDED}|{_AGGREGATED}|{_QUANTILE}")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Give the files of Grafana's, as they are made now."""
    return files(DASHBOARDS)


def grafana_panels(made: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return every panel of the JSON, with the file that it stands in."""
    return [
        (name, panel) for name, text in made.items() if name.endswith(".json") for panel in json.loads(text)["panels"]
    ]


def test_the_files_are_what_is_declared(made: dict[str, str]) -> None:
    written = {str(file.relative_to(FOLDER)): file.read_text() for file in FOLDER.rglob("*.*") if file.is_file()}

    assert written == made, "run `make docs`"


def test_every_dashboard_is_there() -> None:
    assert tuple(dashboard.name for dashboard in DASHBOARDS) == NAMES


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_numbers_and_titles_of_panels_are_their_own(dashboard: Dashboard) -> None:
    numbers = [panel.number for panel in dashboard.panels]
    titles = [panel.title for panel in dashboard.panels]

    assert sorted(set(numbers)) == sorted(numbers)
    assert sorted(set(titles)) == sorted(titles)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_no_panel_covers_another(dashboard: Dashboard) -> None:
    covered = [
        (x, y)
        for place in places(dashboard.panels)
        for x in range(place.x, place.x + place.width)
        for y in range(place.y, place.y + place.height)
    ]

    assert len(set(covered)) == len(covered)
    assert all(0 <= x < WIDTH for x, _ in covered)


def test_a_panel_without_room_goes_below_the_highest() -> None:
    first, second = OVERVIEW.panels[0], OVERVIEW.panels[1]

    assert places((second, first)) == [
        Place(0, 0, second.width, second.height),
        Place(0, second.height, first.width, first.height),
    ]


def test_every_panel_tells_in_one_sentence_what_it_shows() -> None:
    wrong = [
        panel.title
        for _, panel in PANELS
        if not re.fullmatch(r"[A-Z][^.]*(?:\.\d[^.]*)*\.", panel.told) or panel.title.endswith(".")
    ]

    assert wrong == []


def test_every_panel_links_a_page_that_there_is() -> None:
    missing = [panel.page for _, panel in PANELS if not (checkout.ROOT / "docs" / panel.page).is_file()]

    assert missing == []


def test_every_panel_asks_something() -> None:
    assert [panel.title for _, panel in PANELS if bool(panel.queries) is (panel.sql is not None)] == []
    assert [panel.title for _, panel in PANELS if panel.view is View.BUCKETS and len(panel.queries) != 1] == []


@pytest.mark.parametrize(
    ("expression", "is_one"),
    [
        ("service:slo_budget_left:ratio", True),
        ('sum by (a, b) (rate(x_total{c="d"}[1m]))', True),
        ("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))", True),
        ("sum by (a) (x) / sum by (a) (y)", False),
        ("time() - max by (a) (x)", False),
        ("x", False),
    ],
)
def test_one_question_is_told_from_several(expression: str, is_one: bool) -> None:  # noqa: FBT001 - a row of a table
    assert bool(ONE_QUESTION.fullmatch(expression)) is is_one


def test_every_expression_is_a_rule_or_one_selector_with_one_aggregation() -> None:
    assert [expression for _, expression in ASKED if not ONE_QUESTION.fullmatch(expression)] == []


def test_every_expression_is_promql(tmp_path: Path) -> None:
    promtool = debian.find_program("promtool", "prometheus")
    rules = [{"record": f"x:x:{number}", "expr": expression} for number, (_, expression) in enumerate(ASKED)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    ran = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "panels.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def unknown_in(asked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what dashboards read that nobody shows and no rule records."""
    recorded = {rule for rule, _ in expressions() if ":" in rule}
    return [
        (dashboard, name)
        for dashboard, expression in asked
        for name in sorted(metric_names(expression))
        if name not in known_metrics.known() | recorded and family_of(name) not in known_metrics.histograms()
    ]


def test_every_panel_reads_metrics_that_there_are() -> None:
    assert unknown_in(ASKED) == []


def test_a_panel_with_a_metric_that_does_not_exist_is_found() -> None:
    assert unknown_in([("planted", "max by (service) (relay_lag_minutes)")]) == [("planted", "relay_lag_minutes")]


def test_every_metric_is_read() -> None:
    assert [metric.name for metric in catalogue() if not read_by(metric.name)] == []
    assert {name for name in known_metrics.OUTSIDE if not read_by(name)} == set()


def test_what_is_recorded_is_read() -> None:
    read = {name for _, expression in (*expressions(), *shown()) for name in metric_names(expression)}

    assert {rule for rule, _ in expressions() if ":" in rule} - read == set()


def test_grafana_finds_each_panel_and_query_by_an_id(made: dict[str, str]) -> None:
    panels = grafana_panels(made)

    assert len(panels) == len(PANELS)
    for (name, found), (dashboard, panel) in zip(panels, PANELS, strict=True):
        assert (name, found["id"]) == (f"dashboards/{dashboard.name}.json", panel.number)
        ids = [target["refId"] for target in found["targets"]]
        assert sorted(set(ids)) == ids
        assert all(ids)


def test_grafana_is_told_all_of_each_panel(made: dict[str, str]) -> None:
    for (_, found), (_, panel) in zip(grafana_panels(made), PANELS, strict=True):
        defaults = found["fieldConfig"]["defaults"]
        assert (found["title"], found["description"], defaults["unit"]) == (panel.title, panel.told, panel.unit)
        assert found["links"][0]["url"] == f"${{docs}}/{panel.page}"
        assert len(defaults["thresholds"]["steps"]) == 1 + sum(
            value is not None for value in (panel.thresholds.look, panel.thresholds.bad)
        )
        sources = {found["datasource"]["uid"], *(target["datasource"]["uid"] for target in found["targets"])}
        assert sources == {"${prometheus}" if panel.sql is None else "${postgres}"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_each_source_of_data_is_a_variable(dashboard: Dashboard, made: dict[str, str]) -> None:
    variables = json.loads(made[f"dashboards/{dashboard.name}.json"])["templating"]["list"]

    sources = {variable["name"] for variable in variables if variable["type"] == "datasource"}
    asked = {"prometheus" if panel.sql is None else "postgres" for panel in dashboard.panels}
    assert sources == asked | {"prometheus"}


def test_thresholds_are_in_order() -> None:
    def is_ordered(thresholds: Thresholds) -> bool:
        if thresholds.look is None or thresholds.bad is None:
            return True
        return (thresholds.look > thresholds.bad) is thresholds.is_falling

    assert [panel.title for _, panel in PANELS if not is_ordered(panel.thresholds)] == []


def test_the_table_of_wallets_reads_the_view_alone() -> None:
    asked: list[Panel] = [panel for _, panel in PANELS if panel.sql is not None]

    assert [re.findall(r"from (\S+)", str(panel.sql)) for panel in asked] == [["history_jobs.top_wallets"]]
