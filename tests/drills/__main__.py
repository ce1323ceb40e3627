"""Hold the drills on real processes and write what came of them: `python -m tests.drills [--only alerts]`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, Final

from tests.drills import alerts, inflicted, releases
from tests.drills.failing import DrillFailed
from tests.drills.page import page
from tests.drills.releases import Shared
from tests.drills.stack import running_stack
from tests.pages import machine

from engines import checkout
from engines.errors import EngineError
from local_stack.errors import StackError
from release.errors import ReleaseFailed

RESULTS: Final = checkout.STATE / "results" / "drill.json"
PAGE: Final = checkout.ROOT / "docs" / "operations" / "drills.md"

Drill = Callable[[], Mapping[str, Any]]


def short_drills() -> dict[str, Drill]:
    """Return the drills of a short run, by name."""
    return {"gateway_kill": inflicted.hold_kill, "alerts": alerts.hold_first}


def drills_of(shared: Shared, seeds: int) -> dict[str, Drill]:
    """Return every drill by its name; *seeds* is how often a release is brought in and taken back.

    Those of releases share a stack, and come last: it stands until the end.
    """
    return {
        "gateway_kill": inflicted.hold_kill,
        "gateway_reload": inflicted.hold_reload,
        "rebuild": inflicted.hold_rebuild,
        "alerts": alerts.hold,
        "blue_green": partial(releases.hold_blue_green, shared, seeds),
        "rollback": partial(releases.hold_rollback, shared, seeds),
        "blue_green_killed": partial(releases.hold_killed, shared),
        "release_refused": partial(releases.hold_refused, shared),
        "previous": partial(releases.hold_previous, shared),
    }


def main(arguments: Sequence[str]) -> int:
    """Hold the drills that are asked for; return 0 where each holds."""
    with ExitStack() as opened:
        return _hold(arguments, cache(lambda: opened.enter_context(running_stack())))


def _hold(arguments: Sequence[str], shared: Shared) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("--only", help=f"names of drills, with commas, of {', '.join(drills_of(shared, 1))}")
    parser.add_argument("--short", action="store_true", help="one drill of the gateway, one phase of the alerts")
    parser.add_argument("--seeds", type=int, default=1, help="how often a release is brought in and taken back")
    asked = parser.parse_args(arguments)
    drills = short_drills() if asked.short else drills_of(shared, asked.seeds)
    wanted = set(drills) if asked.only is None else set(asked.only.split(","))
    unknown = sorted(wanted - set(drills))
    if unknown:
        print(f"there is no drill {unknown[0]}: choose of {', '.join(drills)}", file=sys.stderr)
        return 2
    told: dict[str, Any] = {"command": "make drill", "machine": machine(), "drills": {}}
    began_s = time.monotonic()
    failures = [name for name in drills if name in wanted and not _holds(name, drills[name], told["drills"])]
    told["took_s"] = round(time.monotonic() - began_s)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    if not failures and not asked.short and wanted == set(drills):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(told))
    return 1 if failures else 0


def _holds(name: str, drill: Drill, figures: dict[str, Any]) -> bool:
    """Hold a drill and keep its figures; tell and return whether it holds."""
    print(f"── {name}", flush=True)
    began_s = time.monotonic()
    try:
        figures[name] = dict(drill())
    except (DrillFailed, EngineError, ReleaseFailed, StackError, TimeoutError) as error:
        print(f"   FAILED: {error}", flush=True)
    print(f"   {time.monotonic() - began_s:.0f} s", flush=True)
    return name in figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
