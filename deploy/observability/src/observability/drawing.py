"""Draws a panel as SVG: lines over time, and cells coloured by value."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from observability.asking import Series
from observability.panels import Thresholds, Unit, View
from observability.writing import written

WIDTH: Final = 640
HEIGHT: Final = 200
MARGIN: Final = 64
LINES_MAX: Final = 30
"""The largest are drawn; the table beside them has the others."""
CELLS_MAX: Final = 64
COLOURS: Final = ("#3866b0", "#c4572e", "#3d8a4a", "#8a4a9e", "#b08a1e", "#2b8f93", "#a83a5c", "#5f6b7a")


def coloured(series: Sequence[Series]) -> list[tuple[str, Series]]:
    """Return those of *series* that are drawn, the largest, each with its colour."""
    drawn = sorted(series, key=lambda each: -max(value for _, value in each.points))[:LINES_MAX]
    return [(COLOURS[number % len(COLOURS)], each) for number, each in enumerate(drawn)]


def lines(series: Sequence[Series], unit: Unit, thresholds: Thresholds) -> str:
    """Return the largest of *series* as lines, with the thresholds that lie within them."""
    drawn = coloured(series)
    points = [point for _, each in drawn for point in each.points if math.isfinite(point[1])]
    if not points:
        return ""
    begin, end = min(at for at, _ in points), max(at for at, _ in points)
    lowest, highest = min(0.0, *(value for _, value in points)), max(value for _, value in points)
    span, height = (end - begin) or 1, (highest - lowest) or 1

    def place(at: float, value: float) -> str:
        x = MARGIN + (at - begin) / span * (WIDTH - MARGIN)
        return f"{x:.1f},{HEIGHT - 10 - (value - lowest) / height * (HEIGHT - 20):.1f}"

    parts = []
    for value in (lowest, highest):
        y = place(begin, value).split(",")[1]
        parts.append(f'<text x="0" y="{y}">{escape(written(value, unit))}</text>')
        parts.append(f'<path class="axis" d="M{MARGIN},{y} H{WIDTH}"/>')
    parts += [
        f'<path class="limit" d="M{MARGIN},{place(begin, limit).split(",")[1]} H{WIDTH}"/>'
        for limit in (thresholds.look, thresholds.bad)
        if limit is not None and lowest < limit <= highest
    ]
    for colour, each in drawn:
        path = " ".join(place(at, value) for at, value in each.points if math.isfinite(value))
        parts.append(f'<polyline stroke="{colour}" points="{path}"><title>{escape(each.legend)}</title></polyline>')
    return _svg("".join(parts), HEIGHT)


def cells(series: Sequence[Series], view: View, unit: Unit) -> str:
    """Return a row of cells for each of *series*, from the lowest label upwards, darker where the value is higher.

    Buckets are told up to their bounds: each row has what is beyond the one below.
    """
    rows = sorted(series, key=lambda each: _order(each.legend))[:CELLS_MAX]
    values = [dict(each.points) for each in rows]
    if view is View.BUCKETS:
        values = [
            {at: value - (values[number - 1].get(at, 0) if number else 0) for at, value in row.items()}
            for number, row in enumerate(values)
        ]
    times = sorted({at for row in values for at in row})
    highest = max((value for row in values for value in row.values()), default=0) or 1
    across, up = (WIDTH - MARGIN) / max(1, len(times)), max(6, HEIGHT // max(1, len(rows)))
    parts = []
    for number, (each, row) in enumerate(zip(rows, values, strict=True)):
        y = (len(rows) - 1 - number) * up
        if up > 10 or number % 8 == 0:  # noqa: PLR2004 - no room for the names of all
            parts.append(f'<text x="0" y="{y + up}">{escape(each.legend)}</text>')
        parts += [
            f'<rect x="{MARGIN + times.index(at) * across:.1f}" y="{y}" width="{across:.1f}" height="{up}"'
            f' fill-opacity="{max(0.0, value) / highest:.2f}"/>'
            for at, value in row.items()
            if value > 0
        ]
    told = f"<p>darkest: {escape(written(highest, unit))}</p>"
    return _svg("".join(parts), up * len(rows) + 4) + told


def _order(legend: str) -> tuple[float, str]:
    try:
        return float(legend), legend
    except ValueError:
        return math.inf, legend


def _svg(content: str, height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{content}</svg>'
