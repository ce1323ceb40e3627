"""The pictures of the results."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from tests.load.plan import KINDS
from tests.load.sizes import CHECKPOINTED
from tests.pages import new_axes, save

_COLOURS: Final = {"uniform": "#3b6ea5", "hot": "#c8553d"}
_BARS: Final = {
    "pgbench, several statements": "pgbench several_statements {}",
    "pgbench, one function": "pgbench one_function {}",
    "one transaction per request": "one_transaction {}",
    "single transfers over HTTP": "http {}",
    "two API processes": "instances {} 2 ahead",
    "four API processes": "instances {} 4 ahead",
    "batches over HTTP": "batches {}",
    "committer in process": "committer {}",
    "FastAPI echo": "echo {}",
}


def draw(told: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw what was measured into *folder*; return the names of the files."""
    figures = {"rates.svg": _rates(told), "profile.svg": _profile(told), "sizes.svg": _sizes(told)}
    return save(figures, folder)


def best(told: Mapping[str, Any], what: str) -> float | None:
    """Return the best median among the settings of *what*; None if none was measured."""
    medians = [
        statistics.median(rate["per_s"] for rate in rates)
        for name, rates in told["series"].items()
        if name == what or name.startswith(f"{what} ")
    ]
    return max(medians, default=None)


def _rates(told: Mapping[str, Any]) -> Figure | None:
    bars = {label: [best(told, what.format(kind)) for kind in KINDS] for label, what in _BARS.items()}
    bars = {label: values for label, values in bars.items() if any(value is not None for value in values)}
    if not bars:
        return None
    figure, axes = new_axes(7, 0.6 + 0.45 * len(bars))
    for index, kind in enumerate(KINDS):
        places = [place + (index - 0.5) * 0.38 for place in range(len(bars))]
        drawn = axes.barh(
            places, [values[index] or 0 for values in bars.values()], height=0.36, color=_COLOURS[kind], label=kind
        )
        labels = ["" if values[index] is None else f"{values[index]:,.0f}" for values in bars.values()]
        axes.bar_label(drawn, labels=labels, padding=2, fontsize=7)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.set_xlabel("transfers a second, best setting, median of the rounds")
    axes.legend(frameon=False)
    return figure


def _profile(told: Mapping[str, Any]) -> Figure | None:
    parts: Mapping[str, float] = told["profile_us"]
    if not parts:
        return None
    figure, axes = new_axes(7, 0.6 + 0.3 * len(parts))
    drawn = axes.barh(list(parts), list(parts.values()), color=_COLOURS["uniform"])
    axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("µs per command")
    return figure


def _sizes(told: Mapping[str, Any]) -> Figure | None:
    costs = size_costs_us(told, "sizes")
    if not costs:
        return None
    figure, axes = new_axes(7, 2.4)
    axes.plot(list(costs), list(costs.values()), marker="o", color=_COLOURS["uniform"], label="between checkpoints")
    first = size_costs_us(told, CHECKPOINTED)
    axes.plot(list(first), list(first.values()), marker="o", color=_COLOURS["hot"], label=CHECKPOINTED)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("journal rows")
    axes.set_ylabel("µs per transfer")
    axes.legend(frameon=False)
    return figure


def size_costs_us(told: Mapping[str, Any], what: str) -> dict[int, float]:
    """Return the µs of a transfer by journal rows, of the series *what*."""
    sizes = sorted(int(name.removeprefix(f"{what} ")) for name in told["series"] if name.startswith(f"{what} "))
    return {rows: 1e6 / rate for rows in sizes if (rate := best(told, f"{what} {rows}")) is not None}
