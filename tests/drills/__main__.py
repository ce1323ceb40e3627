"""Hold the drills on real processes and write what came of them: `python -m tests.drills [--only alerts]`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.drills import alerts, inflicted, releases
from tests.drills.failing import DrillFailed
from tests.drills.page import page
from tests.pages import machine

from engines import checkout
from engines.errors import EngineError
from local_stack.errors import StackError
from release.errors import ReleaseFailed

RESULTS: Final = checkout.STATE / "results" / "drill.json"
PAGE: Final = checkout.ROOT / "docs" / "operations" / "drills.md"

Drill = Callable[[], Mapping[str, Any]]
SHORT: Final[Mapping[str, Drill]] = {"gateway_kill": inflicted.hold_kill, "alerts": alerts.hold_first}
DRILLS: Final[Mapping[str, Drill]] = {
    "gateway_kill": inflicted.hold_kill,
    "gateway_reload": inflicted.hold_reload,
    "rebuild": inflicted.hold_rebuild,
    "blue_green": releases.hold_blue_green,
    "rollback": releases.hold_rollback,
    "blue_green_killed": releases.hold_killed,
    "release_refused": releases.hold_refused,
    "previous": releases.hold_previous,
    "alerts": alerts.hold,
}


def main(arguments: Sequence[str]) -> int:
    """Hold the drills that are asked for; return 0 where each holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("--only", default=",".join(DRILLS), help="names of drills, with commas")
    parser.add_argument("--short", action="store_true", help="one drill of the gateway, one phase of the alerts")
    asked = parser.parse_args(arguments)
    chosen = asked.only.split(",")
    drills = SHORT if asked.short else DRILLS
    if asked.short and asked.only == parser.get_default("only"):
        chosen = list(SHORT)
    unknown = sorted(set(chosen) - set(drills))
    if unknown:
        print(f"there is no drill {unknown[0]}: choose of {', '.join(drills)}", file=sys.stderr)
        return 2
    told: dict[str, Any] = {"command": "make drill", "machine": machine(), "drills": {}}
    began_s = time.monotonic()
    failures = [name for name in chosen if not _holds(name, drills[name], told["drills"])]
    told["took_s"] = round(time.monotonic() - began_s)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    if not failures and not asked.short and set(chosen) == set(DRILLS):
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
