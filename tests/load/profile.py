"""Where a single transfer's time goes: µs per command in parse, decide, encode and each SQL call.

The parts of Python are timed by themselves, on batches as large as the committer's; a SQL call is timed from its first
byte to its answer in a running committer, with what the driver does, and shared out among the batch's commands.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from tests.load import committing
from tests.load.database import Bench, connected

from servicekit.clock import monotonic_s
from servicekit.http.edge.decoding import decode_body
from wallet.adapters.ledger_postgres import Connection, NamedRow, PostgresLedger, make_id
from wallet.adapters.wallet_rows import wallet_from_row
from wallet.application.journal import transaction_rows
from wallet.application.plan import BatchPlan
from wallet.application.ports import Fenced
from wallet.application.rows import BatchRows, Locked
from wallet.application.units import Answer, Unit, UnitKey, fingerprint
from wallet.domain.commands import TransferFunds
from wallet.domain.decide import decide
from wallet.domain.outcomes import Posted
from wallet.domain.wallets import Wallet
from wallet.entrypoints.requests import TransferRequest, to_command

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

    async def lock(self, connection: Connection, wallet_ids: Sequence[UUID], keys: Sequence[UnitKey]) -> Locked:
        self.commands["locked"] += len(keys)
        with self._timed("lock_batch"):
            return await super().lock(connection, wallet_ids, keys)

    async def write(self, connection: Connection, rows: BatchRows) -> list[int]:
        with self._timed("write_batch"):
            return await super().write(connection, rows)

    async def write_fenced(
        self, connection: Connection, keys: Sequence[UnitKey], named: Sequence[NamedRow], rows: BatchRows
    ) -> Fenced:
        self.commands["ahead"] += len(rows.idempotency)
        with self._timed("commit_fenced_batch"):
            return await super().write_fenced(connection, keys, named, rows)

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
    wallets = await _wallets(bench)
    calls: dict[str, float] = {}
    for ahead in (False, True):
        ledger = TimedLedger(bench.database.dsn_app)
        await committing.rate(ledger, bench.wallet_ids, hot=False, ahead=ahead, seconds=seconds)
        path = "ahead" if ahead else "locked"
        names = ("commit_fenced_batch",) if ahead else ("begin", "lock_batch", "write_batch", "commit")
        if ledger.commands[path]:  # a short run may decide no batch ahead
            calls |= {f"sql {name}": 1e6 * ledger.seconds[name] / ledger.commands[path] for name in names}
    return {name: round(value, 2) for name, value in {**_python(wallets), **calls}.items()}


async def _wallets(bench: Bench) -> dict[UUID, Wallet]:
    async with connected(bench.database.dsn_app) as connection:
        rows = await connection.fetch("select * from wallet.lock_batch(false, $1, '{}')", bench.wallet_ids)
    return {row["id"]: wallet_from_row(row, first=1) for row in rows if row["kind"] == 0}


def _python(wallets: Mapping[UUID, Wallet]) -> dict[str, float]:
    """Time the parts that wait for nothing."""
    ids = list(wallets)
    commands = [committing.random_transfer(ids, hot=False) for _ in range(BATCH)]
    bodies = [_body(command) for command in commands]
    units = [committing.unit_of(command) for command in commands]
    now = max(wallet.last_at for wallet in wallets.values())
    decided = [(unit, command, _decided(command, wallets, now)) for unit, command in zip(units, commands, strict=True)]
    locked = Locked(wallets, {}, now)
    return {
        "parse": _fastest_us(lambda: [_parse(body) for body in bodies]),
        "decide": _fastest_us(
            lambda: [decide(command, wallets, tenant_id=committing.TENANT, now=now) for command in commands]
        ),
        "encode": _fastest_us(lambda: [_encode(*each) for each in decided]),
        "plan (decide, encode and the rows)": _fastest_us(lambda: _plan(units, locked)),
    }


_decoder: Final = msgspec.json.Decoder(TransferRequest)


def _parse(body: bytes) -> bytes:
    """Make a command of a body, and tell it from others, as the API does."""
    return fingerprint("/v1/transfers", (to_command(decode_body(_decoder, body)),))


def _decided(command: TransferFunds, wallets: Mapping[UUID, Wallet], now: datetime) -> Posted:
    decision = decide(command, wallets, tenant_id=committing.TENANT, now=now)
    assert isinstance(decision, Posted), decision
    return decision


def _encode(unit: Unit, command: TransferFunds, posted: Posted) -> Answer:
    """Make the answer and the events."""
    transaction_id = make_id()
    transaction_rows(unit, command, posted, transaction_id)
    return committing.PLANNING.renderer.transaction(transaction_id, command, posted, _CREATED_AT)


def _plan(units: Sequence[Unit], locked: Locked) -> None:
    BatchPlan(units, committing.PLANNING)(locked)


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
