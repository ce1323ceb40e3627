"""The machine of money in memory: the rules alone, on rows in a dict, while the clock is moved.

`python -m services.wallet.tests.money_memory --steps 100000 --seed 1` walks from a seed: the rules are those that
Hypothesis plays in `test_money_machine.py`, chosen by `random.Random`, which is quick enough for as many steps. The
clock moves over the ends of holds and quotes, midnights, the ends of months and both changes of summer time. What
breaks is shown with the seed and the last requests.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from services.wallet.tests.ledgers import LedgerInMemory
from services.wallet.tests.money_checks import Comparing, check_journal, check_usage
from services.wallet.tests.money_machine import Breach, Machine
from services.wallet.tests.money_model.limits import end_of
from services.wallet.tests.money_walk import WEIGHTS

from wallet.application.rows import JournalRow
from wallet.application.units import Outcome, Unit

ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")
SUMMER_TIME: Final = (
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # it begins in New York
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # and in Berlin
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # it ends in Berlin
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # and in New York
    datetime(2027, 3, 14, 7, tzinfo=UTC),
    datetime(2027, 3, 28, 1, tzinfo=UTC),
)
STARTS: Final = (*(each - timedelta(hours=12) for each in SUMMER_TIME), datetime(2026, 12, 30, 22, tzinfo=UTC))
MICROSECOND: Final = timedelta(microseconds=1)
EDGES: Final = (-MICROSECOND, timedelta(), MICROSECOND, timedelta(hours=1), -timedelta(hours=1))
LIFE: Final = 400
"""After so many steps a walk begins anew: what is scanned anew with every step stays short."""
LOOKED_AT: Final = 8
"""After so many steps everything is compared."""
MOVES: Final = {"instant": 90, "seconds": 60, "moment": 14, "due": 14, "day": 12, "month": 3, "summer": 2}
"""How the clock is moved before a step, and how often. A few dozen steps are a day, a few hundred a month."""
OF_MEMORY: Final = {**WEIGHTS, "batch": 6, "several": 6, "exchange": 6, "repeat": 3, "reuse": 2, "hammer": 1}


class World:
    """A machine on a ledger in memory, whose clock the world moves."""

    def __init__(self, start: datetime) -> None:
        self.ledger = LedgerInMemory()
        self.ledger.now = start
        self.machine = Machine(self, ZONES, EDGES, is_exact=True)
        self._journal: list[JournalRow] = []
        self._comparing = Comparing()
        self._plays = 0
        self.machine.begin()

    def now(self) -> datetime:
        """Return the time."""
        return self.ledger.now

    def send(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return the outcomes of *units*."""
        outcomes, self._journal = self.ledger.carried_out(units)
        return outcomes

    def step(self, rule: str, move: str, seed: int) -> None:
        """Move the clock, play a rule, and look at what it has done."""
        dice = Random(seed)
        self.ledger.now = max(self.ledger.now + MICROSECOND, self._moved(move, dice))
        self._journal = []
        self.machine.play(rule, dice.getrandbits(32))
        self._plays += 1
        check_journal(self.machine, self._journal)
        self._comparing.check_rows(self.machine, self.ledger.rows, is_whole=self._plays % LOOKED_AT == 0)
        if self._plays % LOOKED_AT == 0:
            check_usage(self.machine, self.ledger.rows, self.ledger.now)

    def _moved(self, move: str, dice: Random) -> datetime:
        """Return where the clock is moved: on by a little, or to around an instant that matters."""
        now, model = self.ledger.now, self.machine.model
        around = dice.choice(EDGES)
        match move:
            case "due":
                holds = [hold.ends_at for hold in model.holds.values() if hold.status == "open" and hold.ends_at > now]
                quotes = [
                    each.ends_at for each in model.quotes.values() if each.status == "open" and each.ends_at > now
                ]
                ends = sorted([*holds, *quotes])[:3]
                return dice.choice(ends) + around if ends else now
            case "day" | "month":
                return end_of(move, now, dice.choice(ZONES)) + around
            case "summer":
                return next((each for each in SUMMER_TIME if each > now), now) + around
            case "seconds" | "moment":
                return now + timedelta(seconds=dice.randrange(20 if move == "seconds" else 3_000))
            case _:
                return now


def walk(steps: int, seed: int) -> dict[str, Any]:
    """Walk *steps* from *seed*, beginning anew every so often; return what was seen. Raises Breach."""
    dice = Random(seed)
    done, worlds, seen = 0, 0, Counter[str]()
    rules, moves = [*OF_MEMORY], [*MOVES]
    while done < steps:
        world = World(dice.choice(STARTS))
        worlds += 1
        while world.machine.steps < LIFE and done + world.machine.steps < steps:
            (rule,), (move,) = dice.choices(rules, [*OF_MEMORY.values()]), dice.choices(moves, [*MOVES.values()])
            try:
                world.step(rule, move, dice.getrandbits(32))
            except Exception as error:
                told = f"seed {seed}, step {done + world.machine.steps}, {rule}: {type(error).__name__}: {error}"
                raise Breach(told if isinstance(error, Breach) else "\n".join((told, *world.machine.last))) from error
        done += world.machine.steps
        seen += world.machine.seen
    return {"seed": seed, "steps": done, "worlds": worlds, "seen": dict(sorted(seen.items()))}


def main(words: Sequence[str]) -> int:
    """Walk as *words* ask for, and write what was seen as JSON; return 0 where all is as the model says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(words)
    try:
        seen = walk(arguments.steps, arguments.seed)
    except Breach as breach:
        sys.stderr.write(f"{breach}\n")
        return 1
    sys.stdout.write(f"{json.dumps(seen)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
