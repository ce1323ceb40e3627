"""What a command is to a player: its request, what the model makes of it, and the chance by which it is made."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.mix.amounts import minor, money
from tests.mix.model import World
from tests.mix.things import Done, Hold, Json

CURRENCIES: Final = ("USD", "USD", "USD", "JPY", "EUR")
OWNERS: Final = tuple(f"owner-{number}" for number in range(1, 6))
TIERS: Final = ("default", "silver", "gold")
Model = Callable[[World], Done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command: its request, as a batch's member *member* too, and what the *model* makes of it."""

    path: str
    body: Json
    model: Model
    member: Json
    method: str = "POST"

    @property
    def kind(self) -> str:
        """What a batch calls it."""
        kind: str = self.member["type"]
        return kind


@dataclass(frozen=True, slots=True)
class Chance:
    """A seeded chance, and what it chooses of a world."""

    random: random.Random

    def is_once_in(self, times: int) -> bool:
        """Return True once in so many times."""
        return self.random.randrange(times) == 0

    def wallet(self, world: World) -> str:
        """Return a wallet, mostly one that is open."""
        return self.random.choice(self._among(world))

    def wallet_of(self, world: World, currency: str) -> str:
        """Return a wallet that is mostly open and of a currency."""
        fitting = [each for each in self._among(world) if world.wallets[each].currency == currency]
        return self.random.choice(fitting) if fitting and not self.is_once_in(20) else self.wallet(world)

    def _among(self, world: World) -> list[str]:
        """Return the wallets that are open, and seldom all."""
        opened = [each for each, wallet in world.wallets.items() if not wallet.is_closed]
        return list(world.wallets) if not opened or self.is_once_in(20) else opened

    def amount(self, world: World, wallet_id: str) -> int:
        """Return an amount that is mostly there, and sometimes a little more."""
        available = max(world.available(wallet_id), 1)
        return self.random.randint(1, available // self.random.choice((1, 10, 40, 100)) + 1)

    def hold(self, world: World) -> tuple[str, Hold] | None:
        """Return a hold, mostly one that is open."""
        found = list(world.holds.items())[-40:]
        if not found:
            return None
        opened = [each for each in found if each[1].status == "open"]
        return self.random.choice(opened if opened and not self.is_once_in(10) else found)

    def payees(self, world: World, payer: str, amount: int) -> list[Json]:
        """Return up to seven payees, with parts of *amount* that mostly sum up."""
        currency = world.wallets[payer].currency
        others = [each for each in self._among(world) if each != payer and world.wallets[each].currency == currency]
        chosen = self.random.sample(others, min(len(others), self.random.choice((0, 1, 1, 2, 3, 6))))
        payees: list[Json] = [{"wallet_id": each} for each in chosen]
        if not payees or self.random.random() < 0.3:
            payees.append({"external": {}})
        self._share(payees, amount, currency)
        return payees

    def _share(self, payees: list[Json], amount: int, currency: str) -> None:
        ways = self.random.choice(("rest", "shares", "amounts", "mixed"))
        each = 1_000_000 // len(payees)
        for payee in payees[:-1]:
            if ways == "shares" or (ways == "mixed" and self.is_once_in(2)):
                payee["share_ppm"] = each
            else:
                payee["amount"] = money(self.random.randint(1, max(1, amount // len(payees))), currency)
        fixed = sum(minor(payee["amount"]) for payee in payees if "amount" in payee)
        if ways == "shares":
            payees[-1]["share_ppm"] = 1_000_000 - each * (len(payees) - 1) - self.is_once_in(20)
        elif ways == "amounts":
            payees[-1]["amount"] = money(max(1, amount - fixed), currency)
        else:
            payees[-1]["rest"] = True
            if len(payees) > 1 and self.is_once_in(20):
                payees[0] = {name: payees[0][name] for name in payees[0] if name in {"wallet_id", "external"}}
                payees[0]["rest"] = True


Make = Callable[[Chance, World], Step | None]
"""Makes a command of a kind, None where there is nothing for it."""
Weights = Mapping[Make, int]
"""How often each kind is made."""


def plain(path: str, member: str, body: Json, model: Model) -> Step:
    """Return a command whose path names nothing."""
    return Step(path=path, body=body, model=model, member={"type": member, **body})


def on(thing: tuple[str, str], action: str, member: str, body: Json, model: Model) -> Step:
    """Return a command on a thing: its kind, and its id."""
    kind, thing_id = thing
    named = {"type": member, f"{kind}_id": thing_id, **body}
    return Step(path=f"/v1/{kind}s/{thing_id}/{action}", body=body, model=model, member=named)


def setting(thing: tuple[str, str], what: str, member: str, body: Json, model: Model) -> Step:
    """Return a command that sets something of a thing: its kind, and its id."""
    kind, thing_id = thing
    named = {"type": member, f"{kind}_id": thing_id, **body}
    return Step(method="PUT", path=f"/v1/{kind}s/{thing_id}/{what}", body=body, model=model, member=named)
