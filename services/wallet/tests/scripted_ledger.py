"""A committer on a ledger that does as a test tells it to."""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from typing import Any

import asyncpg
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from servicekit.failures import Failure, classify
from wallet.adapters.ids import IDS
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.ports import Committed, Conflict, Decide
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.rows import BatchInput, BatchRows, KeyRecord, Stamps
from wallet.application.units import Unit, UnitKey, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds
from wallet.domain.rows import RowName, Rows
from wallet.domain.wallets import Wallet, WalletStatus
from wallet.entrypoints.rendering import JsonRenderer

TENANT = new_id()
WALLET_ID = new_id()
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class ScriptedLedger:
    """A ledger whose commits can be held up or made to fail: what the committer does then is what is tested here."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.sent: list[int] = []
        self.reads: list[set[RowName]] = []
        self.keys_read: list[UnitKey] = []
        self.records: dict[UnitKey, KeyRecord] = {}
        self.stamp = 0
        self.sent_fails: Callable[[int], BaseException | None] = lambda _version: None
        self.fails: Callable[[Sequence[UnitKey]], Exception | None] = lambda _keys: None
        self.wallet = Wallet(WALLET_ID, TENANT, "o", "USD", WalletStatus.OPEN, (), 0, 0, 0, 1, NOW, NOW, None, 0)

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        self.reads.append(set(names))
        self.keys_read += keys
        return self._input(names, {key: self.records[key] for key in keys if key in self.records})

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        await self._pass_gate()
        error = self.fails(keys)
        if error is not None:
            raise error
        rows = decide(self._input(names, {}))
        self._write(rows)
        self.batches.append(len(keys))
        return list(range(1, len(rows.journal) + 1))

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        del keys, expected
        version = rows.moved[0].version - 1 if rows.moved else self.wallet.version
        self.sent.append(version)
        await self._pass_gate()
        error = self.sent_fails(version)
        if error is not None:
            raise error
        self._write(rows)
        return Committed(list(range(1, len(rows.journal) + 1)), NOW)

    def _input(self, names: Collection[RowName], records: Mapping[UnitKey, KeyRecord]) -> BatchInput:
        rows = Rows({name: self.wallet if name == WALLET_ID else None for name in names})
        return BatchInput(rows, {name: None if row is None else self.stamp for name, row in rows.items()}, records, NOW)

    def _write(self, rows: BatchRows) -> None:
        for moved in rows.moved:
            self.wallet = replace(self.wallet, version=moved.version, posted_minor=moved.posted_minor)
        self.stamp = rows.stamp
        for row in rows.idempotency:
            self.records[row[:3]] = KeyRecord(row.fingerprint, (row.status, row.body), row.resource_id, ())

    async def _pass_gate(self) -> None:
        self.waiting += 1
        await self.gate.wait()
        await asyncio.sleep(0)
        self.waiting -= 1

    def classify(self, error: Exception) -> Failure:
        return classify(error)

    def conflict_of(self, error: BaseException) -> Conflict | None:
        return Conflict.STAMP if isinstance(error, asyncpg.SerializationError) else None


def a_deposit(key: str, *, deadline_s: float = 30.0, amount: int = 1) -> Unit:
    commands = (DepositFunds(WALLET_ID, amount, "USD"),)
    now_s = monotonic_s()
    return Unit(
        path="/v1/deposits",
        commands=commands,
        is_atomic_batch=False,
        mandate=platform_mandate(TENANT),
        actor="tester",
        key=(TENANT, key, 0),
        fingerprint=fingerprint("/v1/deposits", commands),
        deadline_s=now_s + deadline_s,
    )


class Driven:
    """A committer at work on a scripted ledger, and its queue."""

    def __init__(self, ledger: ScriptedLedger, *, batch: int = 512, pipelining: bool = False, **limits: Any) -> None:
        metrics = CommitterMetrics(CollectorRegistry())
        self.queue = CommandQueue(dataclasses.replace(QueueLimits(), **limits), metrics=metrics)
        self.committer = Committer(
            ledger,
            self.queue,
            planning=Planning(
                ids=IDS,
                draw_stamp=partial(getrandbits, 63),
                hash_reference=lambda _tenant, reference: reference.encode(),
                renderer=JsonRenderer(CATALOG.answers),
            ),
            metrics=metrics,
            settings=CommitterSettings(
                batch_commands_max=batch,
                pipelining=pipelining,
                retry_pause_min_s=0.0001,
                retry_pause_max_s=0.0002,
            ),
        )

    async def finish(self) -> None:
        """Drain the queue and end."""
        self.queue.close()
        await self.committer.run()

    async def answers(self, *units: Unit) -> list[Any]:
        """Submit *units* at once, drain, and return the outcomes or errors."""
        futures = [self.queue.submit(unit) for unit in units]
        await self.finish()
        return await asyncio.gather(*futures, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is the committer's own state
            await asyncio.sleep(0)
