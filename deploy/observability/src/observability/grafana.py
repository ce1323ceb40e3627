"""Writes dashboards as Grafana's JSON, and what tells it where they and the sources of their data are."""

import json
import string
from collections.abc import Sequence
from typing import Final

import yaml
from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from engines import checkout
from observability.panels import Dashboard, Panel, Place, Query, Thresholds, View, places

FOLDER: Final = checkout.ROOT / "deploy" / "observability" / "grafana"
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")
POSTGRES: Final = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${postgres}")
REFRESH: Final = "10s"
SPAN: Final = "now-1h"
_GOOD, _LOOK, _BAD = "green", "yellow", "red"
_IN_GRAFANA: Final = "/etc/grafana/dashboards"
_Builder = timeseries.Panel | stat.Panel | table.Panel | heatmap.Panel


class SqlQuery(variants.Dataquery):
    """A query of Grafana's PostgreSQL source, which the toolkit has no type for."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def to_json(self) -> dict[str, object]:
        """Return it as it stands in a panel."""
        told = {"refId": "A", "rawSql": self._sql, "rawQuery": True, "format": "table", "editorMode": "code"}
        return {**told, "datasource": POSTGRES}


class _Built(Builder[variants.Dataquery]):
    def __init__(self, query: variants.Dataquery) -> None:
        self._query = query

    def build(self) -> variants.Dataquery:
        return self._query


def files(dashboards: Sequence[Dashboard]) -> dict[str, str]:
    """Return the text of each file of Grafana's by its path below `FOLDER`."""
    made = {f"dashboards/{each.name}.json": _json(each) for each in dashboards}
    return made | {
        "provisioning/dashboards/platform.yml": _yaml(_PROVIDER),
        "provisioning/datasources/platform.yml": _yaml(_SOURCES),
    }


def _json(dashboard: Dashboard) -> str:
    made = (
        builders.Dashboard(dashboard.title)
        .uid(dashboard.name)
        .description(dashboard.told)
        .tags(["wallet-platform"])
        .time(SPAN, "now")
        .refresh(REFRESH)
        .timezone("utc")
        .readonly()
        .with_variable(builders.DatasourceVariable("prometheus").label("Prometheus").type("prometheus"))
    )
    if any(panel.sql for panel in dashboard.panels):
        made = made.with_variable(
            builders.DatasourceVariable("postgres").label("PostgreSQL").type(str(POSTGRES.type_val))
        )
    made = made.with_variable(
        builders.TextBoxVariable("docs")
        .label("Pages")
        .description("Where the folder docs is served.")
        .default_value("docs")
    )
    for panel, place in zip(dashboard.panels, places(dashboard.panels), strict=True):
        made = made.with_panel(_panel(panel, place))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel, place: Place) -> _Builder:
    made = (
        _view(panel)
        .id(panel.number)
        .title(panel.title)
        .description(panel.told)
        .datasource(PROMETHEUS if panel.sql is None else POSTGRES)
        .grid_pos(GridPos(x=place.x, y=place.y, w=place.width, h=place.height))
        .unit(panel.unit)
        .thresholds(_thresholds(panel.thresholds))
        .links([_link(panel.page)])
    )
    for ref_id, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(_target(panel.view, query, ref_id))
    return made if panel.sql is None else made.with_target(_Built(SqlQuery(panel.sql)))


def _view(panel: Panel) -> _Builder:
    match panel.view:
        case View.LINES:
            return _lines(panel.thresholds)
        case View.NUMBERS:
            return stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        case View.TABLE:
            return table.Panel()
        case View.BUCKETS | View.CELLS:
            return heatmap.Panel().color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges"))


def _lines(thresholds: Thresholds) -> timeseries.Panel:
    drawn = GraphThresholdsStyleMode.OFF if thresholds.bad is None else GraphThresholdsStyleMode.DASHED
    return (
        timeseries.Panel()
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
        .fill_opacity(0)
        .axis_soft_min(0)
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(drawn))
    )


def _target(view: View, query: Query, ref_id: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).legend_format(query.legend).datasource(PROMETHEUS)
    match view:
        case View.TABLE:
            return made.instant().format(PromQueryFormat.TABLE)
        case View.BUCKETS:
            return made.range().format(PromQueryFormat.HEATMAP)
        case View.LINES | View.NUMBERS | View.CELLS:
            return made.range().format(PromQueryFormat.TIME_SERIES)


def _thresholds(told: Thresholds) -> builders.ThresholdsConfig:
    """Return steps from below upwards, each the colour of the values from it on."""
    steps = [(told.look, _LOOK), (told.bad, _BAD)]
    if told.is_falling:
        steps = [(told.bad, _LOOK if told.look is not None else _GOOD), (told.look, _GOOD)]
    lowest = _BAD if told.is_falling and told.bad is not None else _GOOD
    found = [Threshold(value=None, color=lowest)]
    found += [Threshold(value=value, color=color) for value, color in steps if value is not None]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _link(page: str) -> builders.DashboardLink:
    return builders.DashboardLink("What to do").type(DashboardLinkType.LINK).url(f"${{docs}}/{page}").target_blank(True)


_PROVIDER: Final = {
    "apiVersion": 1,
    "providers": [
        {
            "name": "wallet-platform",
            "folder": "Wallet platform",
            "type": "file",
            "allowUiUpdates": False,
            "options": {"path": _IN_GRAFANA},
        }
    ],
}
_SOURCES: Final = {
    "apiVersion": 1,
    "datasources": [
        {
            "name": "Prometheus",
            "uid": "prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": "${PROMETHEUS_URL}",
            "isDefault": True,
            # A point of a request's duration leads to its trace.
            "jsonData": {
                "timeInterval": "5s",
                "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "traces"}],
            },
        },
        {
            "name": "PostgreSQL",
            "uid": "postgres",
            "type": POSTGRES.type_val,
            "access": "proxy",
            "url": "${DASHBOARDS_DATABASE_HOST}",
            "user": "dashboards",
            "jsonData": {"database": "transaction_history", "sslmode": "disable"},
            "secureJsonData": {"password": "${DASHBOARDS_DATABASE_PASSWORD}"},
        },
        {"name": "Traces", "uid": "traces", "type": "jaeger", "access": "proxy", "url": "${TRACES_URL}"},
    ],
}


def _yaml(document: object) -> str:
    return "# Made by `make docs`: not to be changed by hand.\n" + yaml.safe_dump(document, sort_keys=False)
