"""The machine of money as a part of a whole run: a long walk in memory, in a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.chaos.platform.platform import ROOT

STEPS: Final = 100_000
"""How many steps a whole run walks."""
_MODULE: Final = "services.wallet.tests.money_memory"
_TITLE: Final = """\
## The machine of money

Random commands on the rules alone, in memory, while the clock moves over the ends of holds and quotes, midnights, ends
of months and both changes of summer time. After each step one independent model of all that money can do judges the
answer, the entries and every wallet that was changed, and every few steps each hold, refund, quote and limit
(`python -m services.wallet.tests.money_memory --steps 100000 --seed 1`)."""


def walk(steps: int, seed: int) -> dict[str, Any]:
    """Walk *steps* from *seed*, print a line of it, and return what a run tells: `breach` is what broke."""
    began_s = time.monotonic()
    argv = (sys.executable, "-m", _MODULE, "--steps", str(steps), "--seed", str(seed))
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True)
    told = json.loads(done.stdout) if done.returncode == 0 else {"seed": seed, "steps": steps, "seen": {}}
    told |= {"seconds": round(time.monotonic() - began_s), "breach": done.stderr.strip() if done.returncode else ""}
    print(f"the machine of money: {_sentence(told)}", flush=True)
    return told


def section(told: Mapping[str, Any]) -> Iterator[str]:
    """Give the machine's part of the page."""
    yield _TITLE
    yield _sentence(told)


def _sentence(told: Mapping[str, Any]) -> str:
    if told["breach"]:
        return f"**It broke**: {told['breach'].splitlines()[0]}"
    seen: Mapping[str, int] = told["seen"]
    done = sum(count for what, count in seen.items() if what.endswith(" done"))
    refusals = {what.rpartition(" ")[2] for what in seen} - {"done"}
    return (
        f"Seed {told['seed']}, {told['steps']:,} steps in {told['seconds']} s, "
        f"in {told['worlds']} ledgers one after another: {done:,} requests carried out, "
        f"{sum(seen.values()) - done:,} refused by {len(refusals)} codes, **all as the model says.**"
    )
