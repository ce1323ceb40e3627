"""Values as people read them."""

import math
from typing import Final

from observability.panels import Unit

_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_COUNTS: Final = ((1e9, " G"), (1e6, " M"), (1e4, " k"))
_BYTES: Final = ((1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB"))
_KILO: Final = 1_000


def written(value: float, unit: Unit) -> str:
    """Return *value* with its unit, to three digits."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    match unit:
        case Unit.SECONDS:
            return _seconds(value)
        case Unit.BYTES | Unit.BYTES_PER_S:
            scaled = _scaled(value, _BYTES, " B")
            return scaled + ("/s" if unit is Unit.BYTES_PER_S else "")
        case Unit.SHARE:
            return f"{value * 100:.3g} %"
        case Unit.YES_NO:
            return "yes" if value else "no"
        case Unit.PER_S:
            return f"{_scaled(value, _COUNTS)}/s"
        case Unit.COUNT:
            return _scaled(value, _COUNTS)


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
            return f"{value / size:.3g}{name}"
    return f"{value:.0f}{unit}" if value == int(value) else f"{value:.3g}{unit}"
