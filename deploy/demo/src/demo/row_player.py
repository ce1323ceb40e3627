"""Playing rows in the order of their file: batches one after another, the next one made while one is under way."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from demo import judge
from demo.acknowledging import acknowledged
from demo.http_client import Response
from demo.ids import Ids
from demo.judge import Known
from demo.model import Model
from demo.operations import Batch, Command, MoneyCommand, Open
from demo.rows import Row
from demo.session import Session
from demo.states import ExpectedBatch, WalletState
from demo.wire import Request, send_until_settled, to_request

T = TypeVar("T")

ROWS_PER_BATCH: Final = 1_000  # as many as the API takes in one request
BATCHES_PER_REPEAT: Final = 50
_CREATED: Final = 201
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch that is ready to be sent, what it must be answered, and the wallets it names."""

    number: int
    first_line: int
    commands: tuple[MoneyCommand, ...]
    expected: ExpectedBatch
    request: Request
    ids: Ids


class RowPlayer:
    """Plays rows.

    An independent batch is decided in the order of its commands, and what is left open of one is sent again before the
    next is sent, so no operation overtakes an earlier one. Wallets and acknowledgements live in the session's record:
    memory does not grow with the file.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pool = session.pool
        self._record = session.record
        self._findings = session.findings
        self._figures = session.figures

    async def play(self, rows: Iterable[Row]) -> None:
        """Play *rows*; raises NotSettledError if the platform leaves a command open."""
        begun = perf_counter()
        under_way: tuple[_Prepared, asyncio.Task[Response]] | None = None
        for number, some in enumerate(_chunks(iter(rows), ROWS_PER_BATCH)):
            prepared = await self._prepare(number, some)
            answer = None if under_way is None else await under_way[1]
            sending = asyncio.create_task(self._send(prepared))
            await asyncio.sleep(0)  # the request leaves before anything else is done
            if under_way is not None and answer is not None:
                self._settle_rows(under_way[0], answer)
            under_way = prepared, sending
        if under_way is not None:
            self._settle_rows(under_way[0], await under_way[1])
        self._figures.seconds = perf_counter() - begun

    async def open_ahead(self, currencies: dict[str, str]) -> list[UUID]:
        """Open the wallets *currencies* names before any row is played; return their ids."""
        opened = await self._open(currencies, 0)
        self._record.save(opened.values())
        return [UUID(bytes=wallet.id_bytes) for wallet in opened.values() if wallet.id_bytes is not None]

    async def _prepare(self, number: int, rows: list[Row]) -> _Prepared:
        """Open the wallets that *rows* name first, ask the model, and write the request."""
        names = {name: row.currency for row in reversed(rows) for name in row.names}  # the first row's currency counts
        wallets = self._record.load(names)
        unknown = {name: currency for name, currency in names.items() if name not in wallets}
        opened = await self._open(unknown, rows[0].line)
        wallets |= opened
        ids = Ids()
        for name, wallet in wallets.items():
            assert wallet.id_bytes is not None
            ids.learn(name, UUID(bytes=wallet.id_bytes))
        commands = tuple(row.command for row in rows)
        batch = Batch("independent", commands)
        expected = Model(wallets, self._session.kept.accounts).apply_batch(batch)
        self._record.save(wallets.values())
        request = to_request(batch, f"rows-{rows[0].line}", ids)
        return _Prepared(number, rows[0].line, commands, expected, request, ids)

    async def _open(self, currencies: dict[str, str], line: int) -> dict[str, WalletState]:
        opened: dict[str, WalletState] = {}
        for number, names in enumerate(_chunks(iter(currencies), ROWS_PER_BATCH)):
            batch = Batch("independent", tuple(Open(name, name, currencies[name]) for name in names))
            model = Model(opened)
            expected = model.apply_batch(batch)
            answer = await send_until_settled(
                self._pool, to_request(batch, f"open-{line}-{number}", Ids()), self._figures
            )
            results = self._judge(line, batch.commands, expected, answer)
            for name, result in zip(names, results, strict=True):
                model.wallets[name].id_bytes = UUID(result["body"]["id"]).bytes
        return opened

    async def _send(self, prepared: _Prepared) -> Response:
        """Send the batch until it is settled; some are then sent once more, and must be answered alike."""
        request = prepared.request
        answer = await send_until_settled(self._pool, request, self._figures)
        if prepared.number % BATCHES_PER_REPEAT == 0:
            again = await send_until_settled(self._pool, request, self._figures)
            self._figures.replays += 1
            judge.compare_replays(self._findings, request.key, (answer, again), is_independent=True)
        return answer

    def _settle_rows(self, prepared: _Prepared, answer: Response) -> None:
        results = self._judge(prepared.first_line, prepared.commands, prepared.expected, answer)
        for each, result in zip(prepared.expected.results, results, strict=False):
            if result["status"] == _CREATED:
                transaction_id = UUID(result["body"]["id"])
                self._record.acknowledge(acknowledged(each, transaction_id, prepared.ids, None))
        self._figures.operations += len(prepared.commands)
        self._session.on_done(len(prepared.commands))

    def _judge(
        self, line: int, commands: Sequence[Command], expected: ExpectedBatch, answer: Response
    ) -> list[dict[str, Any]]:
        """Count and judge the answer to a batch; return its results, none where it was refused as a whole."""
        for command, each in zip(commands, expected.results, strict=True):
            self._figures.commands[type(command).__name__.lower()] += 1
            self._figures.outcomes[each.code or "accepted"] += 1
        body: dict[str, Any] = _decode(answer.body)
        wrong = list(judge.batch_complaints(expected, answer.status, body, Known()))
        self._findings.judge("I5", "the batch of line {}: {}", line, wrong, is_right=not wrong)
        results: list[dict[str, Any]] = body.get("results", [])
        return results


def _chunks(things: Iterator[T], size: int) -> Iterator[list[T]]:
    while some := list(islice(things, size)):
        yield some
