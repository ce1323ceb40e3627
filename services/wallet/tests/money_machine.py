"""The machine of money: what is asked at random is judged by the model, on whatever ledger carries it out."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Protocol, cast
from uuid import UUID

import msgspec
from services.wallet.tests.money_commands import Translator
from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.model import Model
from services.wallet.tests.money_model.returning import ORDINARY
from services.wallet.tests.money_model.things import Refusal
from services.wallet.tests.money_walk import OWNERS, WEIGHTS, Walk

from contracts.access import subject_id
from contracts.ids import new_id
from contracts.times import parse_instant
from servicekit.clock import monotonic_s
from wallet.application.units import Deferred, Done, KeyReused, Outcome, Refused, Stored, Unit, fingerprint
from wallet.domain.commands import Command
from wallet.domain.mandate import Mandate, platform_mandate

ACTOR: Final = "tester"
BATCH: Final = "/v1/batches"
LAST: Final = 12
"""How many of the last requests a breach shows."""
CLOCKS_APART: Final = timedelta(seconds=30)
"""How much later than it was sent a command may be decided, by another clock."""
KEYS_KEPT: Final = 40
"""How many of the last answers are asked for again."""
NOT_NOW: Final = frozenset({"rate_unavailable", "hold_not_due_yet"})
"""What leaves nothing behind: the same key may be asked under again."""
_decode = msgspec.json.Decoder().decode

Sent = tuple[tuple[Command, ...], str]
"""Commands, all or none, under a key."""


class Breach(AssertionError):
    """What must never be."""


class Carrier(Protocol):
    """What carries requests out."""

    def now(self) -> datetime:
        """Return the time at which what is sent next is decided."""
        ...

    def send(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return the outcomes of *units*, which are decided in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, as the product was asked it, and the names of what it makes."""

    wanted: tuple[asked.Asked, ...]
    names: tuple[str, ...]
    commands: tuple[Command, ...]
    key: str


class Machine:
    """One tenant's money in the hands of *carrier*, and the model beside it.

    *zones* and *edges* are those of `Odds`. *is_exact*: the time is what the carrier says, to the microsecond.
    """

    def __init__(self, carrier: Carrier, zones: Sequence[str], edges: Sequence[timedelta], *, is_exact: bool) -> None:
        self.model = Model()
        self.translator = Translator(lambda name: self.model.made[name])
        self.walk = Walk(self.model, zones, edges, is_exact=is_exact)
        self.is_exact = is_exact
        tenant_id = new_id()
        self.mandate: Mandate = msgspec.structs.replace(
            platform_mandate(tenant_id), client=subject_id(tenant_id, ACTOR)
        )
        self.last: deque[str] = deque(maxlen=LAST)
        self.steps = 0
        self.made: list[str] = []
        self.is_refused = False
        self.seen = Counter[str]()
        self._carrier = carrier
        self._numbers = 0
        self._prefix = str(new_id())
        self._answers: deque[tuple[Request, Stored]] = deque(maxlen=KEYS_KEPT)

    # -- what is played

    def begin(self) -> None:
        """Open a few wallets with something in most of them, offer most pairs, and set some policy."""
        for owner, currency in zip((*OWNERS, *OWNERS, OWNERS[0]), ("USD",) * 4 + ("EUR", "JPY", "BHD"), strict=True):
            self.ask(asked.Open(owner, currency))
        for wallet, known in [*self.model.wallets.items()][1:]:
            self.ask(asked.Deposit(wallet, 2_000, known.currency))
        pairs = [(one, other, None) for one in ("USD", "EUR", "JPY") for other in ("USD", "EUR", "BHD")]
        self.ask(asked.SetPairs(0, 5_000, tuple(pair for pair in pairs if pair[0] != pair[1])))
        for place, rule in enumerate(("set_tiers", "set_fees", "set_fees", "set_terms")):
            self.play(rule, place)

    def play(self, rule: str, seed: int) -> None:
        """Play a rule: one request, or several at once."""
        dice = Random(seed)
        self.model.now = self._carrier.now()
        self.made = []
        match rule:
            case "batch":
                self._batch(dice)
            case "several":
                self._several(dice)
            case "exchange":
                self._exchange(dice)
            case "hammer":
                self._hammer(dice)
            case "repeat":
                self._repeat(dice)
            case "reuse":
                self._reuse(dice)
            case _:
                self.ask(self.walk.ask(rule, dice))

    def ask(self, *wanted: asked.Asked | None) -> None:
        """Send all of *wanted*, or none, as one request, and judge the answer."""
        request = self._request([each for each in wanted if each is not None])
        if request.wanted:
            self._send_all([request])

    def outcome_of(self, wanted: asked.Asked) -> Outcome:
        """Return what becomes of what the model does not know."""
        (outcome,) = self._send(self._request([wanted]))
        return outcome

    def _batch(self, dice: Random) -> None:
        """Ask for several things in one, or take the last back as one: newest first."""
        if dice.random() < 0.3:
            made = [name for name, each in self.model.made.items() if each.kind in ORDINARY and not each.returned]
            wanted: list[asked.Asked] = [asked.TakeBack("reversal", name) for name in reversed(made[-3:])]
        else:
            wanted = self._some(dice, dice.randint(2, 4))
        if len(wanted) > 1:
            self.ask(*wanted)

    def _some(self, dice: Random, number: int) -> list[asked.Asked]:
        found = (self.walk.ask(rule, Random(dice.getrandbits(32))) for rule in dice.choices(BATCHED, k=number))
        return [each for each in found if each is not None]

    def _several(self, dice: Random) -> None:
        """Let one batch be made of several requests."""
        self._send_all([self._request([each]) for each in self._some(dice, dice.randint(2, 6))])

    def _exchange(self, dice: Random) -> None:
        """Ask for a quote, see to it that its payer has the money, mostly, and use it at once."""
        self.ask(self.walk.ask("ask_for_quote", dice))
        if not self.made:
            return
        (name,) = self.made
        quote = self.model.quotes[name]
        payers, payees = (
            [each for each, known in self.model.wallets.items() if known.currency == currency]
            for currency in (quote.source, quote.destination)
        )
        if payers and payees:
            payer = dice.choice(payers)
            if dice.random() < 0.7:
                self.ask(asked.Deposit(payer, quote.gives + dice.choice((0, 50)), quote.source))
            self.ask(asked.Convert(name, payer, dice.choice(payees)))

    def _hammer(self, dice: Random) -> None:
        """Ask for the same little thing until a bound refuses it, or the money does."""
        rule = dice.choice(("take_back", "capture", "increase"))
        wanted = self.walk.ask(rule, dice)
        match wanted:
            case asked.TakeBack(how="refund", transaction=name):
                wanted = asked.TakeBack("refund", name, 1, self.model.made[name].currency)
            case asked.Capture(hold=name):
                wanted = asked.Capture(name, (asked.To(None),), 1, self.walk.currency_of(name))
            case asked.Increase(hold=name):
                wanted = asked.Increase(name, 1, self.walk.currency_of(name))
            case _:
                return
        for _ in range(102):
            request = self._request([wanted])
            self._send_all([request])
            if self.is_refused:
                return

    def _repeat(self, dice: Random) -> None:
        """Expect the first answer, to the byte."""
        if not self._answers:
            return
        request, first = dice.choice(self._answers)
        (outcome,) = self._send(request)
        self.expect(isinstance(outcome, Stored) and outcome.is_replayed, f"{request.key} was answered before")
        assert isinstance(outcome, Stored)
        same = outcome.answer == first.answer and outcome.resource_id == first.resource_id
        self.expect(same and outcome.positions == first.positions, f"{outcome} repeats {first}")
        self.expect(outcome.result == first.result, f"{outcome} repeats {first}")

    def _reuse(self, dice: Random) -> None:
        """Expect that another request under a used key does nothing."""
        if not self._answers:
            return
        request, _ = dice.choice(self._answers)
        another = self._request([self.walk.ask("deposit", dice) or request.wanted[0]])
        if another.commands != request.commands:
            (outcome,) = self._send(replace(another, key=request.key))
            self.expect(outcome == KeyReused(), f"{outcome} under a used key")

    # -- sending and judging

    def _request(self, wanted: Sequence[asked.Asked]) -> Request:
        commands = tuple(self.translator.command(each) for each in wanted)
        names = tuple(self._name(each) for each in wanted)
        self._numbers += 1
        return Request(tuple(wanted), names, commands, f"{self._prefix}-{self._numbers}")

    def _name(self, wanted: asked.Asked) -> str:
        self._numbers += 1
        return f"{type(wanted).__name__.lower()} {self._numbers}"

    def _send(self, *requests: Request) -> list[Outcome]:
        return self._carrier.send([self._unit(request) for request in requests])

    def _unit(self, request: Request) -> Unit:
        path = BATCH if len(request.commands) > 1 else "/v1/commands"
        return Unit(
            path=path,
            commands=request.commands,
            is_atomic_batch=len(request.commands) > 1,
            mandate=self.mandate,
            actor=ACTOR,
            key=(self.mandate.client, request.key, 0),
            fingerprint=fingerprint(path, request.commands),
            deadline_s=monotonic_s() + 30,
            outcome=cast("Any", None),
        )

    def _send_all(self, requests: Sequence[Request]) -> None:
        """Send them at once, and judge each answer in their order."""
        at = self._carrier.now()
        self.made = []
        for request in requests:
            self.last.append(f"{at.isoformat()} {', '.join(map(repr, request.wanted))}")
        for request, outcome in zip(requests, self._send(*requests), strict=True):
            self.steps += len(request.wanted)
            self._judge(request, outcome, at)

    def _judge(self, request: Request, outcome: Outcome, at: datetime) -> None:
        said = self.model.judge_all(request.wanted, request.names, at)
        self.is_refused = said is not None
        kind = "batch" if len(request.wanted) > 1 else type(request.wanted[0]).__name__
        self.seen[f"{kind} {'done' if said is None else said[1].code}"] += 1
        if said is not None and said[1].code in NOT_NOW:
            self.expect(isinstance(outcome, Deferred), f"{outcome} where it is {said[1].code}")
            return
        self.expect(isinstance(outcome, Stored), f"{outcome} where it was judged: {said}")
        assert isinstance(outcome, Stored)
        if said is None:
            self.expect(outcome.result == Done(), f"{outcome} where all is done")
            self._learn(request, outcome)
        else:
            index, refusal = said
            self.expect(outcome.result == Refused(refusal.code), f"{outcome} where {said}")
            self._compare(refusal, outcome, index if len(request.wanted) > 1 else None)
        self._answers.append((request, outcome))

    def _learn(self, request: Request, outcome: Stored) -> None:
        """Note the ids of what was made."""
        body = _decode(outcome.answer[1])
        is_batch = len(request.wanted) > 1
        self.expect(outcome.answer[0] == (200 if is_batch else outcome.answer[0]), f"{outcome} of a batch")
        bodies = [each["body"] for each in body["results"]] if is_batch else [body]
        for name, each in zip(request.names, bodies, strict=True):
            if name in self.model.wallets or name in self.model.holds or self._is_made(name):
                self.translator.ids[name] = UUID(each["id"])
                self.made.append(name)
            if name in self.model.holds:
                self._learn_end(name, parse_instant(each["expires_at"]))

    def _learn_end(self, name: str, told: datetime) -> None:
        """Note when a hold ends: where the policy says how long it lasts, that goes by the ledger's own clock."""
        hold = self.model.holds[name]
        self.expect(abs(told - hold.ends_at) <= CLOCKS_APART, f"{name} ends at {told} where it is {hold.ends_at}")
        self.model.holds[name] = replace(hold, ends_at=told)

    def _is_made(self, name: str) -> bool:
        return name in self.model.made or name in self.model.quotes

    def _compare(self, refusal: Refusal, outcome: Stored, index: int | None) -> None:
        problem = _decode(outcome.answer[1])
        if index is not None:
            self.expect(problem["index"] == index, f"{problem} is refused for command {index}")
            problem = problem["problem"]
        told = self.translator.told(refusal)
        self.expect({name: problem.get(name) for name in told} == told, f"{problem} where {told}")
        self.expect(self.translator.is_about(refusal, problem), f"{problem} is not about {refusal.whom}")

    def expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it reads as a sentence
        """Raise Breach, with the last requests, unless it *holds*."""
        if not holds:
            raise Breach("\n".join((otherwise, "the last requests were", *self.last)))


_ALONE: Final = {"open", "ask_for_quote", "set_tiers", "set_fees", "set_terms", "set_pairs"}
BATCHED: Final = tuple(rule for rule, weight in WEIGHTS.items() if rule not in _ALONE for _ in range(weight))
"""What batches are made of, each as often as it is played alone: not what other commands of the batch would need."""
