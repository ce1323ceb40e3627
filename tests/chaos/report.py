"""What a chaos run tells: a line per run as it goes, a table at its end, and the same as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.platform.platform import ROOT
from tests.chaos.run import Verdict

RESULTS = ROOT / ".local" / "results"
LOGS = RESULTS / "chaos-logs"
CAUGHT_SHOWN = 1
"""Of each check that caught a planted bug."""
_HEADER = ("fault", "seed", "what bit", "ops", "events", "invariants", "recovery s")


def show(verdict: Verdict, title: str) -> None:
    """Print one run, with its breaches."""
    what = f"{verdict.what}; {_state(verdict)}, {verdict.seconds} s"
    print(f"{verdict.fault} seed {verdict.seed} ({title}): {what}", flush=True)
    print(f"    {', '.join(f'{phase} {seconds} s' for phase, seconds in verdict.phases.items())}", flush=True)
    for invariant, breaches in verdict.breaches.items():
        for breach in breaches[: CAUGHT_SHOWN if verdict.caught_by and verdict.holds else None]:
            print(f"    {invariant}: {breach}", flush=True)
    if not verdict.bit:
        print("    the fault did not bite", flush=True)


def _state(verdict: Verdict) -> str:
    """Return whether it holds; of a planted bug, by what it was caught."""
    if not verdict.must:
        return "holds" if verdict.holds else "DOES NOT HOLD"
    return f"caught by {', '.join(verdict.caught_by)}" if verdict.holds else "NOT CAUGHT AS IT SHOULD BE"


def table(verdicts: Sequence[Verdict]) -> None:
    """Print all runs."""
    rows = [_HEADER, *(_row(verdict) for verdict in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.fault,
        str(verdict.seed),
        verdict.what,
        str(verdict.operations),
        str(verdict.events),
        _judgement(verdict),
        f"{verdict.recovery_s:.1f}",
    )


def _judgement(verdict: Verdict) -> str:
    if verdict.must and verdict.holds:
        return f"caught by {' '.join(verdict.caught_by)}"
    if verdict.broken:
        return f"broken: {' '.join(sorted(verdict.broken))}"
    if verdict.must:
        return "not caught"
    return "hold" if verdict.bit else "did not bite"


def document(verdicts: Sequence[Verdict], *, titles: Mapping[str, str], **about: Any) -> dict[str, Any]:
    """Return all that is known of a run; *about* is what is known besides its verdicts."""
    runs = [
        {
            **asdict(verdict),
            "title": titles.get(verdict.fault, ""),
            "holds": verdict.holds,
            "caught_by": verdict.caught_by,
        }
        for verdict in verdicts
    ]
    return {**about, "runs": runs}


def write(told: Mapping[str, Any], path: Path) -> None:
    """Write all runs as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"\nwritten to {path}")
