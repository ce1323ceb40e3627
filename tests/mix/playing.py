"""A player: one tenant's client, which gives one command after another and compares every answer with the model."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2
from tests.mix.amounts import Refused
from tests.mix.checking import (
    check,
    check_hold,
    check_limits,
    check_owner,
    check_told,
    check_transaction,
    check_wallet,
    happened_at,
    is_due,
    keep,
)
from tests.mix.dice import Dice
from tests.mix.holding import expire
from tests.mix.limits import DAYS_END_EVERY
from tests.mix.model import World
from tests.mix.steps import Step
from tests.mix.things import Done, Json

from contracts.ids import new_id_text
from servicekit.clock import utc_now

ENDING_MARGIN: Final = timedelta(seconds=3)
EXPIRED_WITHIN_S: Final = 30.0
ANSWERED_WITHIN_S: Final = 60.0
POLL_S: Final = 0.1
REPEATED_MAX: Final = 200
BATCH_MAX: Final = 8
WALLETS_MIN: Final = 8
_STORED: Final = frozenset({200, 201, 409, 422})


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request with its answer, to be repeated."""

    method: str
    path: str
    body: Json
    key: str
    answer: httpx2.Response


@dataclass(slots=True)
class Player:
    """Plays on *instances* of the API with *headers*.

    *played* counts the commands, *done* those that were carried out by kind, *refused* the others by code.
    """

    name: str
    instances: Sequence[httpx2.AsyncClient]
    headers: Mapping[str, str]
    chance: random.Random
    world: World = field(default_factory=World)
    played: int = 0
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _sent: deque[_Sent] = field(default_factory=lambda: deque(maxlen=REPEATED_MAX))
    _keys: int = 0

    async def play(self, operations: int) -> None:
        """Give *operations* commands; raise AssertionError at the first answer that is wrong."""
        dice = Dice(self.chance)
        while len(self.world.wallets) < WALLETS_MIN:
            await self._single(dice.opening(), is_tried=False)
            await self._single(dice.funding(self.world), is_tried=False)
        while self.played < operations:
            await self._until_nothing_ends()  # before the command is made: a hold of its own lasts seconds
            how = self.chance.random()
            if how < 0.05:
                await self._repeat()
            elif how < 0.15:
                steps = [dice.step(self.world) for _ in range(self.chance.randint(2, BATCH_MAX))]
                await self._batch(steps, is_atomic=self.chance.random() < 0.5)
            else:
                await self._single(dice.step(self.world), is_tried=self.chance.random() < 0.05)
            if self.chance.random() < 0.05:
                await self._look()
        for wallet_id in self.world.wallets:
            await self._look(wallet_id)

    async def settle(self) -> None:
        """Wait until every short hold has ended, and see that each did."""
        await self._until_nothing_is_due(timedelta(seconds=30))

    async def open_elsewhere(self) -> str:
        """Open a wallet that no command of the mix touches; return its id."""
        body = {"owner_id": "nobody", "currency": "USD", "placement": new_id_text()}
        opened: str = (await self._send("POST", "/v1/wallets", body)).json()["id"]
        return opened

    async def deposit_elsewhere(self, wallet_id: str, times: int) -> None:
        """Deposit a little into such a wallet, so often."""
        amount = {"amount": "0.01", "currency": "USD"}
        member = {"type": "deposit", "wallet_id": wallet_id, "amount": amount}
        answer = await self._send("POST", "/v1/batches", {"mode": "atomic", "commands": [member] * times})
        assert answer.is_success, answer.text

    # -- requests

    async def _single(self, step: Step, *, is_tried: bool) -> None:
        if is_tried:
            tried = await self._send(step.method, step.path, step.body, dry_run="true")
            self._judge(self.world.copy(), step, tried.status_code, tried.json())
        answer = await self._send(step.method, step.path, step.body)
        self._judge(self.world, step, answer.status_code, answer.json())
        self.played += 1

    async def _batch(self, steps: Sequence[Step], *, is_atomic: bool) -> None:
        mode = "atomic" if is_atomic else "independent"
        body = {"mode": mode, "commands": [step.member for step in steps]}
        answer = await self._send("POST", "/v1/batches", body)
        told = answer.json()
        if is_atomic:
            self._judge_atomic(steps, answer.status_code, told)
        else:
            assert answer.status_code == 200, told
            for step, result in zip(steps, told["results"], strict=True):
                self._judge(self.world, step, result["status"], result["body"] or result["problem"])
        self.played += len(steps)

    async def _repeat(self) -> None:
        if not self._sent:
            return
        sent = self.chance.choice(self._sent)
        again = await self._ask(sent.method, sent.path, sent.body, sent.key)
        told = again.content.replace(b'"replayed":true', b'"replayed":false')  # an independent batch's, of each command
        assert (again.status_code, told) == (sent.answer.status_code, sent.answer.content), (sent, again.content)
        assert again.headers["idempotency-replayed"] == "true"
        self.played += 1

    async def _look(self, wallet_id: str | None = None) -> None:
        """Compare a wallet, and perhaps a hold and a transaction, with the model."""
        await self._until_nothing_ends()
        wallet_id = wallet_id or self.chance.choice(list(self.world.wallets))
        owner = self.world.wallets[wallet_id].owner
        check_wallet(self.world, wallet_id, (await self._get(f"/v1/wallets/{wallet_id}")).json())
        check_limits(self.world, wallet_id, (await self._get(f"/v1/wallets/{wallet_id}/limits")).json(), utc_now())
        check_owner(self.world, owner, (await self._get(f"/v1/owners/{owner}")).json())
        if self.world.holds:
            hold_id = self.chance.choice(list(self.world.holds))
            check_hold(self.world.holds[hold_id], (await self._get(f"/v1/holds/{hold_id}")).json())
        if self.world.transactions:
            transaction_id = self.chance.choice(list(self.world.transactions))
            posted = self.world.transactions[transaction_id]
            check_transaction(posted, (await self._get(f"/v1/transactions/{transaction_id}")).json())

    async def _send(self, method: str, path: str, body: Json, **query: str) -> httpx2.Response:
        self._keys += 1
        key = f"{self.name}-{self._keys}"
        answer = await self._ask(method, path, body, key, **query)
        if not query and answer.status_code in _STORED:
            self._sent.append(_Sent(method, path, body, key, answer))
        return answer

    async def _ask(self, method: str, path: str, body: Json, key: str, **query: str) -> httpx2.Response:
        headers = {**self.headers, "idempotency-key": key}
        instance = self.chance.choice(self.instances)
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            while True:
                answer = await instance.request(method, path, json=body, headers=headers, params=query)
                if answer.status_code != 503:
                    return answer
                await asyncio.sleep(POLL_S)  # what was asked under the key is what is answered in the end

    async def _get(self, path: str) -> httpx2.Response:
        answer = await self.chance.choice(self.instances).get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer

    # -- judging

    def _judge(self, world: World, step: Step, status: int, body: Json) -> None:
        """Compare an answer with what the model makes of *step* in *world*."""
        done = _modelled(step, world, happened_at(body, utc_now()))
        if isinstance(done, Refused):
            told = (status, body.get("code"))
            assert told == (done.status, done.code), (step.path, step.body, told, done.code, done.facts, body)
            check_told(done.facts, body)
            self.refused[done.code] += 1
            return
        assert status in {200, 201}, (step.path, step.body, body)
        check(world, done, body)
        self.done[step.kind] += 1

    def _judge_atomic(self, steps: Sequence[Step], status: int, body: Json) -> None:
        world, now = self.world.copy(), utc_now()
        results: list[Any] = body.get("results", [])
        for index, step in enumerate(steps):
            done = _modelled(step, world, happened_at(results[index]["body"], now) if results else now)
            if isinstance(done, Refused):
                problem = body.get("problem", {})
                told = (status, body.get("index"), problem.get("code"))
                assert told == (409, index, done.code), ([each.member for each in steps], told, index, done.code, body)
                check_told(done.facts, problem)
                self.refused[done.code] += 1
                return
            if status == 200:
                check(world, done, results[index]["body"])
            else:
                keep(world, done, f"of command {index}")  # the next one meets it, whatever becomes of the batch
        assert status == 200, ([each.member for each in steps], body)
        self.world = world
        self.done.update(step.kind for step in steps)

    # -- what ends by itself

    async def _until_nothing_ends(self) -> None:
        """Wait while a hold or a day is about to end, so that the model knows what is held and counted."""
        while True:
            await self._until_nothing_is_due(ENDING_MARGIN)
            now = utc_now()
            if _quarter(now + ENDING_MARGIN) == _quarter(now):
                return
            await asyncio.sleep(ENDING_MARGIN.total_seconds())

    async def _until_nothing_is_due(self, margin: timedelta) -> None:
        """See every hold that ends within *margin* end, and those that do meanwhile."""
        while due := [each for each, hold in self.world.holds.items() if is_due(hold, utc_now(), margin)]:
            async with asyncio.timeout(EXPIRED_WITHIN_S + margin.total_seconds()):
                await self._until_settled(due[0])
            expire(self.world, due[0])

    async def _until_settled(self, hold_id: str) -> None:
        while (await self._get(f"/v1/holds/{hold_id}")).json()["status"] == "open":  # noqa: ASYNC110 - in the ledger
            await asyncio.sleep(POLL_S)


def _quarter(at: datetime) -> int:
    return int(at.timestamp() // DAYS_END_EVERY.total_seconds())


def _modelled(step: Step, world: World, at: datetime) -> Done | Refused:
    """Return what the model makes of *step*, carried out in *world* at that time."""
    world.at = at
    try:
        return step.model(world)
    except Refused as refused:
        return refused
