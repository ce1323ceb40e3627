"""Where a single transfer's time goes: µs per command in parse, decide, encode and each SQL call.

The parts of Python are timed by themselves, on batches as large as the committer's; a SQL call is timed from its first
byte to its answer in a running committer, with what the driver does, and shared out among the batch's commands.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import msgspec
from tests.load import committing
from tests.load.database import Bench, connected

from servicekit.clock import monotonic_s
from servicekit.http.edge.decoding import decode_body
from wallet.adapters.batch_reads import BatchReader
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import Connection, PostgresLedger
from wallet.adapters.row_columns import StateColumns
from wallet.application.journal import transaction_rows
from wallet.application.plan import BatchPlan
from wallet.application.ports import CarriedOut, Committed
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import Answer, Unit, UnitKey, fingerprint
from wallet.domain.commands import Context, decide
from wallet.domain.facts import Fact
from wallet.domain.money import TransferFunds
from wallet.domain.outcomes import Accepted
from wallet.domain.policy import policy_name
from wallet.domain.rows import RowName
from wallet.domain.wallets import Wallet
from wallet.entrypoints.money import TransferRequest, to_transfer

BATCH: Final = 512
TIMES: Final = 9
_CREATED_AT: Final = "2026-01-01T00:00:00.000000Z"


class TimedLedger(PostgresLedger):
    """Adds up the seconds of each call, and the commands written."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.commands: defaultdict[str, int] = defaultdict(int)

    async def begin(self, connection: Connection) -> None:
        with self._timed("begin"):
            await super().begin(connection)

    async def read_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        with self._timed("read_rows"):
            return await super().read_rows(connection, names, keys)

    async def lock_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        self.commands["locked"] += len(keys)
        with self._timed("lock_rows"):
            return await super().lock_rows(connection, names, keys)

    async def write_rows(self, connection: Connection, rows: BatchRows) -> list[int]:
        with self._timed("write_rows"):
            return await super().write_rows(connection, rows)

    async def commit_rows(
        self, connection: Connection, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows
    ) -> Committed:
        self.commands["ahead"] += len(rows.idempotency)
        with self._timed("commit_rows"):
            return await super().commit_rows(connection, keys, expected, rows)

    async def finish(self, connection: Connection) -> None:
        with self._timed("commit"):
            await super().finish(connection)

    @contextmanager
    def _timed(self, call: str) -> Iterator[None]:
        began_s = monotonic_s()
        try:
            yield
        finally:
            self.seconds[call] += monotonic_s() - began_s


async def measure(bench: Bench, seconds: float) -> dict[str, float]:
    """Return the µs per command of each part."""
    given = await _given(bench)
    calls: dict[str, float] = {}
    for ahead in (False, True):
        ledger = TimedLedger(bench.database.dsn_app)
        await committing.rate(ledger, bench.wallet_ids, hot=False, ahead=ahead, seconds=seconds)
        path = "ahead" if ahead else "locked"
        names = ("read_rows", "commit_rows") if ahead else ("begin", "lock_rows", "write_rows", "commit")
        if ledger.commands[path]:  # a short run may decide no batch ahead
            calls |= {f"sql {name}": 1e6 * ledger.seconds[name] / ledger.commands[path] for name in names}
    return {name: round(value, 2) for name, value in {**_python(given), **calls}.items()}


async def _given(bench: Bench) -> BatchInput:
    async with connected(bench.database.dsn_app) as connection:
        names: list[RowName] = [*(UUID(text) for text in bench.wallet_ids), policy_name(committing.MANDATE.tenant_id)]
        return await BatchReader(StateColumns(())).read(connection, names)


def _python(given: BatchInput) -> dict[str, float]:
    """Time the parts that wait for nothing."""
    ids = [name for name in given.rows if isinstance(name, UUID)]
    commands = [committing.random_transfer(ids, hot=False) for _ in range(BATCH)]
    bodies = [_body(command) for command in commands]
    units = [committing.unit_of(command) for command in commands]
    context = Context(committing.MANDATE, given.now, IDS)
    done = [(unit, command, _done(command, given, context)) for unit, command in zip(units, commands, strict=True)]
    return {
        "parse": _fastest_us(lambda: [_parse(body) for body in bodies]),
        "decide": _fastest_us(lambda: [decide(command, given.rows, context) for command in commands]),
        "encode": _fastest_us(lambda: [_encode(*each) for each in done]),
        "plan (decide, encode and the rows)": _fastest_us(lambda: _plan(units, given)),
    }


_decoder: Final = msgspec.json.Decoder(TransferRequest)


def _parse(body: bytes) -> bytes:
    """Make a command of a body, and tell it from others, as the API does."""
    return fingerprint("/v1/transfers", (to_transfer(decode_body(_decoder, body), None, ""),))


def _done(command: TransferFunds, given: BatchInput, context: Context) -> CarriedOut:
    decision = decide(command, given.rows, context)
    assert isinstance(decision, Accepted), decision
    carried = []
    for fact in decision.facts:
        wallet = given.rows[fact.wallet_id]
        assert isinstance(fact, Fact)
        assert isinstance(wallet, Wallet)
        carried.append((fact, fact.evolve(wallet, given.now)))
    return CarriedOut(carried, (), decision.transaction_id, _CREATED_AT, context.mandate)


def _encode(unit: Unit, command: TransferFunds, done: CarriedOut) -> Answer:
    """Make the answer and the events."""
    assert done.transaction_id is not None
    transaction_rows(unit, command.kind, done.facts, done.transaction_id, None)
    return committing.PLANNING.renderer.accepted(command, done)


def _plan(units: Sequence[Unit], given: BatchInput) -> None:
    BatchPlan(units, committing.PLANNING)(given)


def _body(command: TransferFunds) -> bytes:
    return msgspec.json.encode(
        {
            "source_wallet_id": command.source_wallet_id,
            "destination_wallet_id": command.destination_wallet_id,
            "amount": {"amount": f"{random.randint(1, 9)}.00", "currency": command.currency},
        }
    )


def _fastest_us(work: Callable[[], object]) -> float:
    """Return the µs per command of *work*, which does a batch, at its fastest: what else ran only adds to it."""
    times = []
    for _ in range(TIMES):
        began_s = monotonic_s()
        work()
        times.append(monotonic_s() - began_s)
    return 1e6 * min(times) / BATCH
