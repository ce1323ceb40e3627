"""Values as people read them."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Final

from observability.panels import Unit

_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_COUNTS: Final = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
_WHOLE_MAX: Final = 10_000
"""Counts below are written whole."""
_BYTES: Final = ((1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"))
_KILO: Final = 1_000
_HUNDRED: Final = 100


def written(value: float, unit: Unit) -> str:
    """Return *value* with its unit, to three digits or the whole number."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    match unit:
        case Unit.YES_NO:
            text = "yes" if value else "no"
        case Unit.SECONDS:
            text = _seconds(value)
        case Unit.SHARE:
            text = f"{value * 100:.3g} %"
        case Unit.BYTES | Unit.BYTES_PER_S:
            text = _scaled(value, _BYTES, " B")
        case Unit.COUNT | Unit.PER_S:
            text = _scaled(value, _COUNTS) if abs(value) >= _WHOLE_MAX else _digits(value)
    return text + ("/s" if unit in (Unit.PER_S, Unit.BYTES_PER_S) else "")


def told(cell: object) -> str:
    """Return a value of a table of the database's."""
    match cell:
        case Decimal():
            return f"{cell:f}"
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M:%S}"
        case _:
            return str(cell)


def _seconds(value: float) -> str:
    size = abs(value)
    if 0 < size < 1:
        return f"{value * _KILO:.3g} ms"
    for length, name in _DURATIONS:
        if size >= 2 * length:
            return f"{value / length:.3g} {name}"
    return f"{value:.3g} s"


def _scaled(value: float, sizes: tuple[tuple[float, str], ...], unit: str = "") -> str:
    for size, name in sizes:
        if abs(value) >= size:
            return _digits(value / size) + name
    return _digits(value) + unit


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= _HUNDRED else f"{value:.3g}"
