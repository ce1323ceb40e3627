"""What a run tells: tables on the terminal, and the same as JSON."""

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.load import generator
from tests.load.measuring import Outcome
from tests.load.plan import BenchPlan
from tests.load.ratios import ratios
from tests.load.series import Rate

BASELINE = Path(__file__).with_name("baseline.json")


def document(plan: BenchPlan, outcome: Outcome, **about: Any) -> dict[str, Any]:
    """Return all that is known of a run; *about* is what was known before it."""
    return {
        **about,
        "generator": generator.NAME,
        "plan": {**asdict(plan), "cells": sorted(plan.cells)},
        "ratios": ratios(outcome.series),
        "figures": outcome.figures,
        "profile_us": outcome.profile_us,
        "cores_us": outcome.cores_us,
        "failed": outcome.failed,
        "series": {name: [asdict(rate) for rate in rates] for name, rates in sorted(outcome.series.rates.items())},
    }


def show(told: Mapping[str, Any], outcome: Outcome, console: Console) -> None:
    """Print the rates and, beside the baseline, the ratios; then the figures and the profile."""
    rates = Table("cell", "transfers/s", "µs of CPU each", "generator's core", title="medians")
    for name, of_cell in sorted(outcome.series.rates.items()):
        rates.add_row(name, f"{outcome.series.median(name):,.0f}", *details(of_cell))
    console.print(rates)
    baseline = json.loads(BASELINE.read_text())
    for part in ("ratios", "figures"):
        compared = Table(part.removesuffix("s"), "now", "baseline", title=part)
        known = baseline.get(part, {})
        for name, value in told[part].items():
            compared.add_row(name, f"{value:,}", f"{known[name]:,}" if name in known else "-")
        console.print(compared)
    for title, us in (("profile", "profile_us"), ("the platform's cores", "cores_us")):
        parts = Table("part", "µs per command", title=title)
        for name, value in told[us].items():
            parts.add_row(name, f"{value:.2f}")
        console.print(parts)


def details(rates: list[Rate]) -> Iterator[str]:
    """Give the median µs of CPU and the median share of the generator, empty if they were not measured."""
    cpu = [rate.cpu_us for rate in rates if rate.cpu_us is not None]
    share = [rate.generator_cpu_share for rate in rates if rate.generator_cpu_share is not None]
    yield f"{statistics.median(cpu):.0f}" if cpu else ""
    yield f"{statistics.median(share):.0%}" if share else ""


def write(told: Mapping[str, Any], path: Path) -> None:
    """Write the run as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n")
