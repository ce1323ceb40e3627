"""Playing a recorded day: as much at once as the order of each wallet allows, every answer judged."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import msgspec

from demo import judge
from demo.acknowledging import acknowledged
from demo.http_client import Response
from demo.ids import Ids
from demo.judge import Known
from demo.kept import Kept
from demo.model import Model
from demo.operations import (
    Asked,
    Batch,
    ByStaff,
    Capture,
    Command,
    Lapse,
    Line,
    Open,
    Policy,
    Repeat,
    Reuse,
    Single,
)
from demo.schedule import Schedule, Scheduled
from demo.session import Session
from demo.states import Expected, ExpectedBatch
from demo.touching import key_of, touched
from demo.wire import NotSettledError, Request, send_until_settled, to_request

CONNECTIONS: Final = 96
SPEED_UP: Final = 2_400
"""How many times faster than recorded the day is played, where the platform keeps up: 24 hours in 36 seconds."""
AHEAD: Final = 2_000  # operations known at once: enough to find work while hot wallets wait
LAPSED_WITHIN_S: Final = 60.0
LOOK_AGAIN_S: Final = 0.3
_OK: Final = 200
_CREATED: Final = 201
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """A line and what the model says it must be answered; a repeat is expected to be answered like the first.

    *sender* is the owner whose token it is sent with, None for the platform's own key.
    """

    line: Line
    expected: Expected | ExpectedBatch | None
    sender: str | None = None


class DayPlayer:
    """Plays one day."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pool = session.pool
        self._record = session.record
        self._findings = session.findings
        self._figures = session.figures
        self._model = Model()
        self._ids = Ids()
        self._kept: dict[int, tuple[Request, Response]] = {}

    async def play(self, lines: Iterable[Line]) -> None:
        """Play *lines*, none earlier than it is due; raises NotSettledError if the platform leaves one open."""
        schedule: Schedule[PlannedLine] = Schedule(ahead=AHEAD)
        begun = perf_counter()
        first_s: int | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(self._take(schedule))
                for line in lines:
                    first_s = line.at_s if first_s is None else first_s
                    self._figures.day_seconds = line.at_s - first_s
                    await asyncio.sleep(begun + self._figures.day_seconds / SPEED_UP - perf_counter())
                    if isinstance(line.op, Policy):
                        await self._put_policy(line, line.op)
                    else:
                        await self._plan(line, line.op, schedule)
                schedule.complete()
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        self._figures.seconds = perf_counter() - begun
        self._keep()

    def _keep(self) -> None:
        """Hand on what the model says is left."""
        model, ids = self._model, self._ids
        for name, wallet in model.wallets.items():
            wallet.id_bytes = ids.bytes_of(name)
        self._record.save(model.wallets.values())
        taken_back = {line: each for line, each in model.transactions.items() if each.refunds}
        used = {UUID(ids.of(name)): model.books.bounds.used(each) for name, each in model.wallets.items()}
        self._session.kept = Kept(
            model.books.accounts,
            {ids.made_by(line): hold for line, hold in model.holds.items()},
            {ids.made_by(line): each for line, each in taken_back.items()},
            {wallet_id: rows for wallet_id, rows in used.items() if rows},
        )
        self._figures.holds.update(hold.status for hold in model.holds.values())
        self._figures.money.update(model.done_minor)

    async def _put_policy(self, line: Line, policy: Policy) -> None:
        """Put a section of the policy while nothing else is under way: what follows is decided by it."""
        expected = self._model.apply(policy)
        await self._first(PlannedLine(line, expected), policy, expected, ())
        self._count_done()

    async def _plan(self, line: Line, operation: Asked | Repeat | Reuse, schedule: Schedule[PlannedLine]) -> None:
        """Ask the model in the order of the file, and hand the line on."""
        if isinstance(operation, Repeat | Reuse):
            await schedule.add(PlannedLine(line, None), alone=[key_of(operation.of)])
            return
        if line.trips is not None:
            self._session.tripped.append(line.trips)
        model = self._model
        alone, shared = touched(operation, model)
        keys = [key_of(line.n)] if line.is_answer_kept else []
        sender = model.owner_of_payer(operation)
        expected = (
            model.apply_batch(operation, sender)
            if isinstance(operation, Batch)
            else model.apply(operation, sender, line=line.n)
        )
        await schedule.add(PlannedLine(line, expected, sender), alone=[*alone, *keys], shared=shared)

    async def _take(self, schedule: Schedule[PlannedLine]) -> None:
        async for scheduled in schedule.ready():
            await self._play(scheduled)
            schedule.done(scheduled)
            self._count_done()

    def _count_done(self) -> None:
        self._figures.operations += 1
        self._session.on_done(1)

    async def _play(self, scheduled: Scheduled[PlannedLine]) -> None:
        line = scheduled.work.line
        match line.op:
            case Repeat():
                await self._repeat(line.op)
            case Reuse():
                await self._reuse(line.op)
            case Lapse():
                assert isinstance(scheduled.work.expected, Expected)
                await self._lapse(line, line.op, scheduled.work.expected)
            case operation:
                assert scheduled.work.expected is not None
                await self._first(scheduled.work, operation, scheduled.work.expected, scheduled.alone)

    async def _first(
        self, planned: PlannedLine, operation: Asked, expected: Expected | ExpectedBatch, alone: Iterable[str]
    ) -> None:
        line = planned.line
        token = None if planned.sender is None else self._session.token_of(planned.sender)
        if isinstance(operation, ByStaff):
            token = self._session.operator
        request = to_request(operation, f"day-{line.n}", self._ids, token)
        self._figures.sent_by_owners += planned.sender is not None
        sending = (send_until_settled(self._pool, request, self._figures) for _ in range(line.copies))
        answers = await asyncio.gather(*sending)
        answer = answers[0]
        judge.compare_replays(self._findings, request.key, answers, is_independent=request.is_independent)
        self._figures.replays += line.copies - 1
        if line.is_answer_kept:
            self._kept[line.n] = (request, answer)
        if isinstance(operation, Batch):
            assert isinstance(expected, ExpectedBatch)
            self._settle_batch(line.n, operation, expected, answer, alone)
        else:
            assert isinstance(expected, Expected)
            self._settle(line, operation, expected, answer, alone)

    def _settle(
        self, line: Line, command: Command | Single, expected: Expected, answer: Response, alone: Iterable[str]
    ) -> None:
        body = _decode(answer.body)
        self._count(command, expected)
        if answer.status == _CREATED:
            position = None if isinstance(command, Capture) else answer.headers.get("ledger-position")
            self._acknowledge(command, expected, body, position)
            self._ids.learn_made(line.n, UUID(body["id"]))
        self._judge(line.n, list(judge.complaints(expected, answer.status, body, self._known(expected, alone))))

    async def _lapse(self, line: Line, lapse: Lapse, expected: Expected) -> None:
        """Look at a hold until the platform has released it."""
        path = f"/v1/holds/{self._ids.made_by(lapse.of)}"
        deadline = perf_counter() + LAPSED_WITHIN_S
        while True:
            answer = await self._pool.get(path)
            body = _decode(answer.body)
            if answer.status == _OK and body["status"] != "open":
                break
            if perf_counter() > deadline:
                raise NotSettledError(f"{path} was not released in {LAPSED_WITHIN_S:.0f} s")
            await asyncio.sleep(LOOK_AGAIN_S)
        self._count(lapse, expected)
        self._judge(line.n, list(judge.complaints(expected, answer.status, body, Known())))

    def _settle_batch(
        self, n: int, batch: Batch, expected: ExpectedBatch, answer: Response, alone: Iterable[str]
    ) -> None:
        body: dict[str, Any] = _decode(answer.body)
        results = body.get("results", [])
        for command, each, result in zip(batch.commands, expected.results, results, strict=False):
            if result["status"] == _CREATED:
                self._acknowledge(command, each, result["body"], None)
        for command, each in zip(batch.commands, expected.results, strict=False):
            self._count(command, each)
        if expected.refusal is not None:
            self._figures.outcomes["batch_refused"] += 1
        known = self._known(expected, alone)
        self._judge(n, list(judge.batch_complaints(expected, answer.status, body, known)))

    async def _repeat(self, repeat: Repeat) -> None:
        request, first = self._kept[repeat.of]
        answer = await send_until_settled(self._pool, request, self._figures)
        self._figures.replays += 1
        judge.compare_replays(self._findings, request.key, (first, answer), is_independent=request.is_independent)
        judge.expect_replayed(self._findings, request.key, answer)

    async def _reuse(self, reuse: Reuse) -> None:
        request = to_request(reuse.command, self._kept[reuse.of][0].key, self._ids)
        answer = await send_until_settled(self._pool, request, self._figures)
        self._count(reuse.command, judge.KEY_REUSED)
        self._judge(reuse.of, list(judge.complaints(judge.KEY_REUSED, answer.status, _decode(answer.body), Known())))

    def _known(self, expected: Expected | ExpectedBatch, alone: Iterable[str]) -> Known:
        results = expected.results if isinstance(expected, ExpectedBatch) else (expected,)
        names = {entry.account for each in results for entry in each.entries if entry.is_wallets}
        return Known({name: self._ids.of(name) for name in names}, frozenset(alone))

    def _count(self, command: Command | Single, expected: Expected) -> None:
        self._figures.commands[type(command).__name__.lower()] += 1
        self._figures.outcomes[expected.code or "accepted"] += 1

    def _judge(self, n: int, wrong: list[str]) -> None:
        self._findings.judge("I5", "line {}: {}", n, wrong, is_right=not wrong)

    def _acknowledge(
        self, command: Command | Single, expected: Expected, body: dict[str, Any], position: str | None
    ) -> None:
        answered_id = UUID(body["id"])
        if isinstance(command, Open):
            self._ids.learn(command.wallet, answered_id)
        elif "entries" in body:
            self._record.acknowledge(acknowledged(expected, answered_id, self._ids, position))
            for entry in expected.entries:
                if entry.is_fee and entry.is_wallets and entry.delta_minor < 0:
                    self._figures.money["fees_charged", entry.currency] -= entry.delta_minor
