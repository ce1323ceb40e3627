"""Money under random commands and a clock that jumps, against the one model of money: the rules alone, in memory.

`make chaos` walks a hundred thousand steps more. Each bug that is planted here breaks the machine.
"""

from datetime import datetime
from fractions import Fraction
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from services.wallet.tests.money_machine import Breach
from services.wallet.tests.money_memory import MOVES, OF_MEMORY, STARTS, World, main, walk

from wallet.domain import conversions, fee_rules, fx, hold_commands, limits, originals, refund_commands, sides, windows
from wallet.domain.facts import AnyFact, SystemEntry
from wallet.domain.limiting import Count
from wallet.domain.limits import Window
from wallet.domain.originals import Original

pytestmark = pytest.mark.timeout(300)

STEPS: Final = 5_000
WALKED: Final = 3_000
"""So many steps find each of the bugs, with one of the first seeds."""
SEEDS: Final = range(1, 5)
by_weight = st.sampled_from([name for name, weight in OF_MEMORY.items() for _ in range(weight)])
_ENTRIES: Final = conversions.entries
moves = st.sampled_from([name for name, weight in MOVES.items() for _ in range(weight)])


class MoneyMachine(RuleBasedStateMachine):
    """Plays the rules of the walk on worlds that begin where the clock has something to move over."""

    steps: ClassVar[int] = 0

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: datetime) -> None:
        self.world = World(start)

    @rule(name=by_weight, move=moves, seed=st.integers(0, 2**32 - 1))
    def play(self, name: str, move: str, seed: int) -> None:
        self.world.step(name, move, seed)

    def teardown(self) -> None:
        MoneyMachine.steps += self.world.machine.steps


def test_every_answer_and_every_row_is_what_the_model_says() -> None:
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=STEPS // 50,
            stateful_step_count=50,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert MoneyMachine.steps >= STEPS


def test_a_walk_is_told_and_repeated_by_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert walk(300, 7) == walk(300, 7)
    assert main(["--steps", "100", "--seed", "7"]) == 0
    assert '"seed": 7' in capsys.readouterr().out


def _unreleased(*_: Any) -> tuple[()]:
    """Give nothing back of what a hold releases."""
    return ()


def _off_by_one(original: Original, returned_minor: tuple[int, ...]) -> list[int]:
    """Leave a unit more of what was taken back in part."""
    rests = originals.rests_of(original, returned_minor)
    place = original.payees[0]
    return [rest + (index == place and rest > 0 and bool(returned_minor)) for index, rest in enumerate(rests)]


def _without_rounding(*given: Any) -> tuple[AnyFact, ...]:
    """Leave out the entry that closes the sum."""
    facts = _ENTRIES(*given)
    return tuple(fact for fact in facts if not (isinstance(fact, SystemEntry) and fact.account.startswith("rounding:")))


def _never_ending(window: Window | None, _at: datetime) -> Window | None:
    """Let what was counted count for ever."""
    return window


def _last_gets_more(amount_minor: int, rests: dict[int, int]) -> dict[int, int]:
    """Take the units left over from the last."""
    backwards = dict(reversed(list(rests.items())))
    return {place: originals.shared_out(amount_minor, backwards)[place] for place in rests}


def _half_up(numerator: int, denominator: int) -> int:
    """Round half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _unlimited(*_: Any) -> Count:
    """Refuse nothing, and count nothing."""
    return Count(None)


PLANTED: Final[dict[str, tuple[object, str, object]]] = {
    "usage is not given back by a release": (hold_commands, "give_back", _unreleased),
    "the rest of a refund is off by one": (refund_commands, "rests_of", _off_by_one),
    "the rounding entry is dropped": (conversions, "entries", _without_rounding),
    "a fee is rounded down": (fee_rules, "_HALF", Fraction(0)),
    "a window never ends": (limits, "running", _never_ending),
    "more is captured beyond a hold than is allowed": (hold_commands, "PPM", 500_000),
    "units left over are taken from the last": (refund_commands, "shared_out", _last_gets_more),
    "what the platform gets is rounded half up": (fx, "half_even", _half_up),
    "a month ends with its first day": (limits, "month_end", windows.day_end),
    "debits pass limits": (sides, "count_debit", _unlimited),
}


def walk_all() -> None:
    """Walk from each seed."""
    for seed in SEEDS:
        walk(WALKED, seed)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*PLANTED[bug])

    with pytest.raises(Breach, match="the last requests were"):
        walk_all()
