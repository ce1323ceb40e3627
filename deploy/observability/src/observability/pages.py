"""Writes what dashboards show as plain HTML pages: lines, numbers and tables, without a script."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from observability.asking import Answer, Series
from observability.drawing import cells, coloured, lines
from observability.panels import Dashboard, Panel, Thresholds, View
from observability.writing import told, written

ROWS_MAX: Final = 40
_STYLE: Final = """\
body{font:14px/1.4 sans-serif;margin:1em 2em;color:#222;background:#fff}nav a{margin-right:1em}
main{display:grid;grid-template-columns:repeat(24,1fr);gap:1em}
section{border:1px solid #ccc;padding:.6em;overflow:auto;min-width:0}
h2{font-size:1em;margin:0}p{margin:.2em 0;color:#555}.missing{background:#fbe9e7}
table{border-collapse:collapse;font-size:12px;width:100%}
td,th{padding:1px 6px;text-align:left;border-top:1px solid #eee}
td:last-child{text-align:right}.good{color:#2e7d32}.look{color:#b26a00}.bad{color:#c62828;font-weight:bold}
svg{width:100%}svg text{font-size:10px;fill:#555}polyline{fill:none;stroke-width:1.5}
.axis{stroke:#ddd}.limit{stroke:#c62828;stroke-dasharray:4 3}rect{fill:#b8520a}
@media(max-width:900px){section{grid-column:span 24!important}}
"""


def page(dashboard: Dashboard, answers: Sequence[Answer], names: Sequence[str], at: datetime) -> str:
    """Return the page of *dashboard* as of *at*, with links to those of *names*."""
    links = "".join(f'<a href="{name}.html">{name}</a>' for name in names)
    panels = "".join(_section(each) for each in answers)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(dashboard.title)}</title>'
        f"<style>{_STYLE}</style><nav>{links}</nav><h1>{escape(dashboard.title)}</h1>"
        f"<p>{escape(dashboard.told)} As of {at:%Y-%m-%d %H:%M:%S} UTC.</p><main>{panels}</main></html>\n"
    )


def _section(answer: Answer) -> str:
    panel = answer.panel
    kind = "" if answer.is_filled else ' class="missing"'
    return (
        f'<section{kind} style="grid-column:span {panel.width}"><h2>{escape(panel.title)}</h2>'
        f"<p>{escape(panel.told)} ({escape(panel.page)})</p>{_content(answer)}</section>"
    )


def _content(answer: Answer) -> str:
    panel = answer.panel
    if panel.sql is not None:
        return _table(answer.columns, answer.rows) if answer.rows else _nothing(panel)
    series = [each for found in answer.series for each in found]
    if not series:
        return _nothing(panel)
    match panel.view:
        case View.LINES:
            return lines(series, panel.unit, panel.thresholds) + _last(series, panel)
        case View.NUMBERS | View.TABLE:
            return _last(series, panel)
        case View.BUCKETS | View.CELLS:
            return cells(series, panel.view, panel.unit)


def _nothing(panel: Panel) -> str:
    return f"<p>No data{f': {panel.needs}' if panel.needs else ''}.</p>"


def _last(series: Sequence[Series], panel: Panel) -> str:
    """Return the last value of each series, the largest first."""
    colours = {each.legend: colour for colour, each in coloured(series)} if panel.view is View.LINES else {}
    found = sorted(((each.points[-1][1], each.legend) for each in series), key=lambda each: (-each[0], each[1]))
    rows = "".join(
        f"<tr><td>{_key(colours.get(legend))}{escape(legend or 'all')}</td>"
        f'<td class="{judged(value, panel.thresholds)}">'
        f"{escape(written(value, panel.unit))}</td></tr>"
        for value, legend in found[:ROWS_MAX]
    )
    more = f"<p>and {len(found) - ROWS_MAX} more</p>" if len(found) > ROWS_MAX else ""
    return f"<table>{rows}</table>{more}"


def _key(colour: str | None) -> str:
    return "" if colour is None else f'<b style="color:{colour}">&#9632;</b> '


def judged(value: float, thresholds: Thresholds) -> str:
    """Return whether *value* is `good`, worth a `look`, or `bad`."""
    for limit, word in ((thresholds.bad, "bad"), (thresholds.look, "look")):
        if limit is not None and (value < limit if thresholds.is_falling else value >= limit):
            return word
    return "good"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(told(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
