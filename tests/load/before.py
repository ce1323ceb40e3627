"""An earlier commit beside this one: `make bench CELLS=visible BEFORE=<commit>`.

The commit stands in a worktree and an environment of its own, kept under `.local/bench`. Each round runs it and then
this checkout, so that whatever the machine does meanwhile falls on both; ratios are of medians, this ÷ before.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from tests.load import freezing, visible
from tests.load.visible import Visible

from demo import stack
from demo.stack import Platform
from engines import checkout
from local_stack.config import STATE_VARIABLE, Config

SIDES: Final = ("before", "this")
VISIBLE: Final = "visible"
GENERATOR: Final = "the generator and the samples"
_STARTED_WITHIN_S: Final = 180.0
_ENDED_WITHIN_S: Final = 60.0
_CELL_WITHIN_S: Final = 600.0
_PART: Final = Path(".local/results/bench-part.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared: *roots* has the checkout of each side; *per_s* is what is asked of the platform."""

    roots: Mapping[str, Path]
    cells: frozenset[str]
    rounds: int
    seconds: float
    visible_s: float
    per_s: float


@dataclass(slots=True)
class Measured:
    """What came out: rates by cell and side, and what was seen on the whole platform."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seen: dict[str, list[Visible]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def add(self, side: str, told: Mapping[str, Any]) -> None:
        """Keep one side's round: the rates of its cells, and its figures."""
        rates = {cell: [rate["per_s"] for rate in rates] for cell, rates in told["series"].items()}
        for name, values in {**rates, **{name: [value] for name, value in told["figures"].items()}}.items():
            self.rates.setdefault(name, {each: [] for each in SIDES})[side] += values


def checked_out(commit: str) -> Path:
    """Return a worktree of *commit* with its environment set up; it is made once."""
    sha = subprocess.run(
        ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    root = checkout.STATE / "bench" / f"before-{sha[:12]}"
    if not root.exists():
        subprocess.run(["git", "worktree", "prune"], check=True)
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(root), sha], check=True)
    subprocess.run(["make", "--quiet", "-C", str(root), "setup"], check=True, stdout=subprocess.DEVNULL)
    return root


async def measure(comparison: Comparison, console: Console) -> dict[str, Any]:
    """Run every round on both sides, print the ratios, and return all that was measured."""
    measured = Measured()
    known = {side: _known_cells(root) for side, root in comparison.roots.items()}
    for side, cells in known.items():
        if missing := comparison.cells - cells:
            console.print(f"{side} has no cell {', '.join(sorted(missing))}: it is not compared")
    for number in range(1, comparison.rounds + 1):
        for side in SIDES:
            console.print(f"round {number} of {comparison.rounds}: {side}")
            await _one_round(comparison, side, measured, known[side])
    told = _document(comparison, measured)
    _show(told, console)
    return told


async def _one_round(comparison: Comparison, side: str, measured: Measured, known: frozenset[str]) -> None:
    root = comparison.roots[side]
    if others := (comparison.cells & known) - {VISIBLE}:
        measured.add(side, await asyncio.to_thread(_cells, root, sorted(others), comparison.seconds))
    if VISIBLE in comparison.cells:
        async with _platform(root) as platform:
            seen = await visible.measure(platform, comparison.per_s, comparison.visible_s)
        measured.seen[side].append(seen)


def _known_cells(root: Path) -> frozenset[str]:
    """Return the cells that the benchmark in *root* has: an earlier commit may lack some of today's."""
    names = subprocess.run(
        [_python(root), "-c", "from tests.load.plan import CELLS; print(*CELLS)"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return frozenset(names.split())


def _cells(root: Path, cells: Sequence[str], seconds: float) -> Mapping[str, Any]:
    """Run *cells* once by the benchmark that stands in *root*; return what it told."""
    words = ("--cells", ",".join(cells), "--rounds", "1", "--seconds", str(seconds))
    subprocess.run(
        [_python(root), "-m", "tests.load", *words],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=_CELL_WITHIN_S,
    )
    told: Mapping[str, Any] = json.loads((root / _PART).read_text())
    return told


@asynccontextmanager
async def _platform(root: Path) -> AsyncIterator[Platform]:
    """Give the whole platform of the checkout in *root*, empty at the start."""
    folder = root / ".local" / "bench-platform"
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder.with_suffix(".rules.yaml")
    rules.write_text(freezing.RULES)
    config = Config(
        {
            **os.environ,
            **stack.ENVIRONMENT,
            **stack.free_port_variables(),
            "FRAUD_RULES_FILE": str(rules),
            STATE_VARIABLE: str(folder),
        }
    )
    stack.discard(config)
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
        [_python(root), "-m", "local_stack", "up"], cwd=root, env=config.environment, stdout=subprocess.DEVNULL
    )
    try:
        yield await _until_up(process, config)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, _ENDED_WITHIN_S)
        stack.discard(config)


async def _until_up(process: "subprocess.Popen[bytes]", config: Config) -> Platform:
    async with asyncio.timeout(_STARTED_WITHIN_S):
        while (platform := stack.platform_in(config)) is None:
            assert process.poll() is None, f"the platform did not start: see {config.logs}"
            await asyncio.sleep(0.2)
    return platform


def _python(root: Path) -> str:
    return str(root / ".venv" / "bin" / "python") if root != checkout.ROOT else sys.executable


def _document(comparison: Comparison, measured: Measured) -> dict[str, Any]:
    cells = {
        cell: {side: _rounded(statistics.median(rates)) for side, rates in of_sides.items() if rates}
        for cell, of_sides in sorted(measured.rates.items())
    }
    told: dict[str, Any] = {"rounds": comparison.rounds, "cells": cells}
    if measured.seen["this"]:
        told["asked_per_s"] = comparison.per_s
        told["visible"] = {side: _seen(seen) for side, seen in measured.seen.items()}
    told["ratios"] = _ratios(told)
    return told


def _rounded(median: float) -> float:
    """Return whole transfers of a rate; what is as small as a share keeps its decimals."""
    return round(median) if median >= 10 else round(median, 3)


def _seen(seen: Sequence[Visible]) -> dict[str, Any]:
    parts = sorted({part for each in seen for part in each.cpu_us})
    cpu_us = {part: round(statistics.median(each.cpu_us.get(part, 0.0) for each in seen), 1) for part in parts}
    return {
        "per_s": round(statistics.median(each.per_s for each in seen)),
        "p50_ms": round(statistics.median(each.p50_ms for each in seen), 1),
        "p99_ms": round(statistics.median(each.p99_ms for each in seen), 1),
        "platform_us": round(statistics.median(_platform_us(each) for each in seen), 1),
        "cpu_us": cpu_us,
    }


def _platform_us(seen: Visible) -> float:
    return sum(us for part, us in seen.cpu_us.items() if part != GENERATOR)


def _ratios(told: Mapping[str, Any]) -> dict[str, float]:
    ratios = {
        cell: sides["this"] / sides["before"]
        for cell, sides in told["cells"].items()
        if len(sides) == len(SIDES) and sides["before"]
    }
    if "visible" in told:
        before, this = (told["visible"][side] for side in SIDES)
        for name in ("platform_us", "p50_ms", "p99_ms"):
            ratios[f"visible {name}"] = this[name] / before[name]
    return {name: round(value, 3) for name, value in ratios.items()}


def _show(told: Mapping[str, Any], console: Console) -> None:
    ratios = Table("what", *SIDES, "this ÷ before", title="beside the commit before")
    for cell, sides in told["cells"].items():
        ratio = told["ratios"].get(cell)
        measured = (f"{sides[side]:,}" if side in sides else "" for side in SIDES)
        ratios.add_row(cell, *measured, f"{ratio:.3f}" if ratio else "")
    if "visible" in told:
        sides = [told["visible"][side] for side in SIDES]
        for name in ("per_s", "platform_us", "p50_ms", "p99_ms"):
            ratio = told["ratios"].get(f"visible {name}")
            ratios.add_row(f"visible {name}", *(f"{each[name]:,}" for each in sides), f"{ratio:.3f}" if ratio else "")
        for part in sorted({part for each in sides for part in each["cpu_us"]}):
            ratios.add_row(f"  µs {part}", *(f"{each['cpu_us'].get(part, 0):,}" for each in sides), "")
    console.print(ratios)
