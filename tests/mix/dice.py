"""Which command comes next."""

import random
from typing import Final

from tests.mix import asking_back, asking_holds, asking_money, asking_terms
from tests.mix.model import World
from tests.mix.steps import Chance, Step, Weights

WEIGHTS: Final[Weights] = {
    **asking_money.WEIGHTS,
    **asking_holds.WEIGHTS,
    **asking_back.WEIGHTS,
    **asking_terms.WEIGHTS,
}


class Dice:
    """Throws the next command for a *world*, by a seeded chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = Chance(chance)

    def opening(self) -> Step:
        """Return the opening of a wallet."""
        return asking_terms.opening(self._chance)

    def funding(self, world: World) -> Step:
        """Return a deposit into the newest wallet."""
        return asking_money.deposit_into(self._chance, world, list(world.wallets)[-1])

    def step(self, world: World) -> Step:
        """Return the next command."""
        while True:
            (make,) = self._chance.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
            made = make(self._chance, world)
            if made is not None:
                return made
