"""Playing a recorded day: as much at once as the order of each wallet allows, every answer judged."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import msgspec

from demo import judge
from demo.http_client import Response
from demo.model import Expected, ExpectedBatch, Model
from demo.money import to_minor
from demo.operations import (
    Batch,
    Command,
    Deposit,
    Line,
    MoneyCommand,
    Open,
    Repeat,
    Reuse,
    Transfer,
    Withdrawal,
    touched,
)
from demo.record import Acknowledged
from demo.schedule import Schedule, Scheduled
from demo.session import Session
from demo.wire import Ids, Request, send_until_settled, to_request

CONNECTIONS: Final = 96
SPEED_UP: Final = 2_400
"""How many times faster than recorded the day is played, where the platform keeps up: 24 hours in 36 seconds."""
AHEAD: Final = 2_000  # operations known at once: enough to find work while hot wallets wait
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
                    await self._plan(line, schedule)
                schedule.complete()
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        self._figures.seconds = perf_counter() - begun
        for name, wallet in self._model.wallets.items():
            wallet.id_bytes = self._ids.bytes_of(name)
        self._record.save(self._model.wallets.values())

    async def _plan(self, line: Line, schedule: Schedule[PlannedLine]) -> None:
        """Ask the model in the order of the file, and hand the line on."""
        operation = line.op
        if isinstance(operation, Repeat | Reuse):
            await schedule.add(PlannedLine(line, None), alone=[f"key {operation.of}"])
            return
        if line.trips is not None:
            self._session.tripped.append(line.trips)
        alone, shared = touched(operation)
        keys = [f"key {line.n}"] if line.is_answer_kept else []
        model = self._model
        sender = model.owner_of_payer(operation)
        expected = (
            model.apply_batch(operation, sender) if isinstance(operation, Batch) else model.apply(operation, sender)
        )
        await schedule.add(PlannedLine(line, expected, sender), alone=[*alone, *keys], shared=shared)

    async def _take(self, schedule: Schedule[PlannedLine]) -> None:
        async for scheduled in schedule.ready():
            await self._play(scheduled)
            schedule.done(scheduled)
            self._figures.operations += 1
            self._session.on_done(1)

    async def _play(self, scheduled: Scheduled[PlannedLine]) -> None:
        line = scheduled.work.line
        match line.op:
            case Repeat():
                await self._repeat(line.op)
            case Reuse():
                await self._reuse(line.op)
            case operation:
                assert scheduled.work.expected is not None
                await self._first(scheduled.work, operation, scheduled.work.expected, scheduled.alone)

    async def _first(
        self, planned: PlannedLine, operation: Command | Batch, expected: Expected | ExpectedBatch, alone: Iterable[str]
    ) -> None:
        line = planned.line
        token = None if planned.sender is None else self._session.token_of(planned.sender)
        request = to_request(operation, f"day-{line.n}", self._ids, token)
        self._figures.sent_by_owners += token is not None
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
            self._settle(line.n, operation, expected, answer, alone)

    def _settle(self, n: int, command: Command, expected: Expected, answer: Response, alone: Iterable[str]) -> None:
        body = _decode(answer.body)
        self._count(command, expected)
        if answer.status == _CREATED:
            self._acknowledge(command, body, answer.headers.get("ledger-position"))
        self._judge(n, list(judge.complaints(expected, answer.status, body, self._known(alone))))

    def _settle_batch(
        self, n: int, batch: Batch, expected: ExpectedBatch, answer: Response, alone: Iterable[str]
    ) -> None:
        body: dict[str, Any] = _decode(answer.body)
        for command, result in zip(batch.commands, body.get("results", []), strict=False):
            if result["status"] == _CREATED:
                self._acknowledge(command, result["body"], None)
        for command, each in zip(batch.commands, expected.results, strict=False):
            self._count(command, each)
        if expected.refusal is not None:
            self._figures.outcomes["batch_refused"] += 1
        self._judge(n, list(judge.batch_complaints(expected, answer.status, body, self._known(alone))))

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
        self._judge(reuse.of, list(judge.complaints(judge.KEY_REUSED, answer.status, _decode(answer.body), {})))

    def _known(self, alone: Iterable[str]) -> dict[str, str]:
        return {name: self._ids.of(name) for name in alone if name in self._model.wallets}

    def _count(self, command: Command, expected: Expected) -> None:
        self._figures.commands[type(command).__name__.lower()] += 1
        self._figures.outcomes[expected.code or "accepted"] += 1

    def _judge(self, n: int, wrong: list[str]) -> None:
        self._findings.judge("I5", "line {}: {}", n, wrong, is_right=not wrong)

    def _acknowledge(self, command: Command, body: dict[str, Any], position: str | None) -> None:
        answered_id = UUID(body["id"])
        if isinstance(command, Open):
            self._ids.learn(command.wallet, answered_id)
        elif isinstance(command, MoneyCommand):
            self._record.acknowledge(acknowledged(command, answered_id, self._ids, position))


def acknowledged(command: MoneyCommand, transaction_id: UUID, ids: Ids, position: str | None) -> Acknowledged:
    """Return what the record keeps of an accepted movement of money."""
    sides: tuple[str | None, str | None]
    match command:
        case Deposit():
            sides = (None, command.wallet)
        case Withdrawal():
            sides = (command.wallet, None)
        case Transfer():
            sides = (command.source, command.target)
    source, target = (ids.bytes_of(name) for name in sides)
    amount_minor = to_minor(command.amount, command.currency)
    kind = type(command).__name__.lower()
    return Acknowledged(transaction_id.bytes, kind, source, target, amount_minor, command.currency, position)
