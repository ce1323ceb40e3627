"""The pictures of a whole run."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from tests.pages import new_axes, save

_BLUE: Final = "#3b6ea5"
_PHASES: Final = {
    "start": "#b8c4d2",
    "load": "#3b6ea5",
    "drain": "#c8553d",
    "settle": "#e0a458",
    "observe": "#6b9080",
    "end": "#8d8d8d",
}


def draw(told: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw what was measured into *folder*; return the names of the files."""
    return save({"recovery.svg": _recovery(told["runs"]), "phases.svg": _phases(told["runs"])}, folder)


def _recovery(runs: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Draw the least, the median and the greatest recovery of each fault."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if not run["must"]:
            found.setdefault(run["fault"], []).append(run["recovery_s"])
    if not found:
        return None
    figure, axes = new_axes(7, 0.6 + 0.2 * len(found))
    axes.hlines(list(found), [min(each) for each in found.values()], [max(each) for each in found.values()], _BLUE)
    axes.plot([statistics.median(each) for each in found.values()], list(found), "o", color=_BLUE, markersize=4)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds; the dot is the median of the seeds")
    return figure


def _phases(runs: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Draw the median seconds of each phase of each fault's runs."""
    names = list(dict.fromkeys(run["fault"] for run in runs if run["phases"]))
    if not names:
        return None
    figure, axes = new_axes(7, 0.6 + 0.2 * len(names))
    left = [0.0] * len(names)
    for phase, colour in _PHASES.items():
        medians = [
            statistics.median(run["phases"].get(phase, 0.0) for run in runs if run["fault"] == name) for name in names
        ]
        axes.barh(names, medians, left=left, color=colour, label=phase)
        left = [before + more for before, more in zip(left, medians, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds, median of the seeds")
    axes.legend(frameon=False, ncols=len(_PHASES), loc="upper center", bbox_to_anchor=(0.5, 1.08), fontsize=7)
    return figure
