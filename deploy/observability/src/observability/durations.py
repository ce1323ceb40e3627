"""Durations as Prometheus writes them, and rules whose durations are divided."""

import re
from typing import Final

WINDOW_MIN_S: Final = 20
"""No window is divided to less: a rate needs two scrapes within it, whichever of those every 5 s are missed."""
_UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WINDOW: Final = re.compile(r"\[(\d+[dhms])]")
_AGE: Final = re.compile(r"\$seconds\((\d+[dhms])\)")


def seconds(text: str) -> int:
    """Return how many seconds a duration such as `30s`, `5m`, `1h` or `3d` is."""
    return int(text[:-1]) * _UNITS_S[text[-1]]


def written(duration_s: int) -> str:
    """Return *duration_s* as a duration, in the largest unit that leaves no rest."""
    if duration_s == 0:
        return "0s"
    unit, size_s = next(each for each in _UNITS_S.items() if duration_s % each[1] == 0)
    return f"{duration_s // size_s}{unit}"


def divided(text: str, divisor: int, *, at_least_s: int = 1) -> str:
    """Return the duration *text* divided, in whole seconds; a duration of 0 stays so."""
    whole_s = seconds(text)
    return written(whole_s and max(at_least_s, whole_s // divisor)) if divisor > 1 else text


def in_expression(expression: str, divisor: int) -> str:
    """Return *expression* with its windows and its ages divided.

    A window stands in brackets; an age, `$seconds(15m)`, becomes its number of seconds.
    """
    windowed = _WINDOW.sub(lambda found: f"[{divided(found[1], divisor, at_least_s=WINDOW_MIN_S)}]", expression)
    return _AGE.sub(lambda found: str(seconds(divided(found[1], divisor))), windowed)
