"""Ledgers for the state machines: the rules alone on rows in memory, and the committer on PostgreSQL."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from typing import Final, Protocol
from uuid import UUID

import asyncpg
from prometheus_client import CollectorRegistry

from testkit.databases import Database
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.adapters.row_columns import WALLET_COLUMNS, wallet_from_row
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import BatchPlan, Planning
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.rows import BatchInput, BatchRows, JournalRow, KeyRecord
from wallet.application.units import Outcome, Stored, Unit, UnitKey, keys_of
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.policy import policy_name
from wallet.domain.rows import Row, RowName, Rows
from wallet.domain.wallets import Wallet
from wallet.entrypoints.rendering import JsonRenderer

PLANNING: Final = Planning(
    ids=IDS,
    draw_stamp=partial(getrandbits, 63),
    hash_reference=lambda _tenant, reference: reference.encode(),
    renderer=JsonRenderer(CATALOG.answers),
)
_STAMP: Final = 1
_START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def a_committer(ledger: PostgresLedger, *, pipelining: bool) -> tuple[Committer, CommandQueue]:
    """Return a committer of small batches on *ledger*, that is yet to run, and its queue."""
    metrics = CommitterMetrics(CollectorRegistry())
    queue = CommandQueue(QueueLimits(), metrics=metrics)
    committer = Committer(
        ledger,
        queue,
        planning=PLANNING,
        metrics=metrics,
        settings=CommitterSettings(
            pipelining=pipelining, batch_commands_max=3, retry_pause_min_s=0.0001, retry_pause_max_s=0.001
        ),
    )
    return committer, queue


@dataclass(frozen=True, slots=True)
class Kept:
    """What a ledger keeps of some tenants: their wallets, how many journal rows, and whose keys (client, key)."""

    wallets: dict[UUID, Wallet]
    journal_rows: int
    keys: frozenset[tuple[UUID, str]]


class LedgerAtWork(Protocol):
    """A ledger that carries out units and shows all that it keeps."""

    async def carry_out(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return the outcomes of *units*, which are decided in their order."""
        ...

    async def kept(self, tenant_ids: Collection[UUID], clients: Collection[UUID]) -> Kept:
        """Return what is kept of the tenants, and of the keys of *clients*."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class LedgerInMemory:
    """The plan of a batch on rows in memory: rules and answers as they are, with nothing under them.

    *now* is the time at which everything happens, until it is set to another.
    """

    def __init__(self) -> None:
        self.now = _START
        self.rows: dict[RowName, Row] = {}
        self._keys: dict[UnitKey, KeyRecord] = {}
        self._journal: list[UUID] = []

    async def carry_out(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return the outcomes of *units*, all of one batch."""
        return self.carried_out(units)[0]

    def carried_out(self, units: Sequence[Unit]) -> tuple[list[Outcome], list[JournalRow]]:
        """Return the outcomes of *units*, all of one batch, and its journal rows."""
        plan, rows = self._planned(units)
        self._journal += [row.tenant_id for row in rows.journal]
        first = len(self._journal) - len(rows.journal) + 1
        outcomes = plan.outcomes(range(first, len(self._journal) + 1))
        self.rows |= {name: known.row for name, known in plan.after.items() if known.row is not None}
        for unit, outcome in zip(units, outcomes, strict=True):
            if isinstance(outcome, Stored) and not outcome.is_replayed:
                record = KeyRecord(unit.fingerprint, outcome.answer, outcome.resource_id, outcome.positions)
                self._keys[unit.key] = record
        return outcomes, rows.journal

    async def kept(self, tenant_ids: Collection[UUID], clients: Collection[UUID]) -> Kept:
        """Return what is kept of the tenants, and of the keys of *clients*."""
        wallets = [row for row in self.rows.values() if isinstance(row, Wallet)]
        return Kept(
            {wallet.id: wallet for wallet in wallets if wallet.tenant_id in tenant_ids},
            sum(tenant_id in tenant_ids for tenant_id in self._journal),
            frozenset((client, key) for client, key, _ in self._keys if client in clients),
        )

    async def close(self) -> None:
        """There is nothing to let go of."""

    def named(self, names: Iterable[RowName]) -> Rows:
        """Return the rows of those *names*."""
        return Rows({name: self.rows.get(name) for name in names})

    def _planned(self, units: Sequence[Unit]) -> tuple[BatchPlan, BatchRows]:
        """Plan on all that *units* name, and on what turns out to be needed besides."""
        known = self.named(policy_name(unit.tenant_id) for unit in units)
        while True:
            names = {name for unit in units for command in unit.commands for name in command.names(known)}
            if not names <= known.keys():
                known |= self.named(names)
                continue
            plan = BatchPlan(units, PLANNING)
            rows = plan(self._input(units, known))
            if not plan.unnamed:
                return plan, rows
            known |= self.named(plan.unnamed)

    def _input(self, units: Sequence[Unit], rows: Rows) -> BatchInput:
        stamps = {name: None if row is None else _STAMP for name, row in rows.items()}
        keys = {key: self._keys[key] for key in keys_of(units) if key in self._keys}
        return BatchInput(rows, stamps, keys, self.now)


class LedgerInPostgres:
    """A committer on *database*, which decides ahead where *pipelining* is, else on locked rows."""

    def __init__(self, database: Database, *, pipelining: bool) -> None:
        self._database = database
        self._ledger = PostgresLedger(database.dsn_app)
        committer, self._queue = a_committer(self._ledger, pipelining=pipelining)
        self._running = asyncio.create_task(committer.run())
        self._reader: asyncpg.Connection | None = None

    async def carry_out(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return the outcomes of *units*, which the committer takes in their order."""
        return list(await asyncio.gather(*map(self._queue.submit, units)))

    async def kept(self, tenant_ids: Collection[UUID], clients: Collection[UUID]) -> Kept:
        """Return what is kept of the tenants, and of the keys of *clients*."""
        if self._reader is None:
            self._reader = await asyncpg.connect(self._database.dsn_admin)
        tenants = list(tenant_ids)
        found = await self._reader.fetch(
            f"select {WALLET_COLUMNS} from wallet.wallet where tenant_id = any ($1)", tenants
        )
        journal_rows = await self._reader.fetchval(
            "select count(*) from wallet.journal where tenant_id = any ($1)", tenants
        )
        keys = await self._reader.fetch(
            "select client, key from wallet.idempotency where client = any ($1)", list(clients)
        )
        wallets = [wallet_from_row(row) for row in found]
        return Kept({wallet.id: wallet for wallet in wallets}, journal_rows, frozenset(map(tuple, keys)))

    async def close(self) -> None:
        """End the committer, and close the connections."""
        self._queue.close()
        await self._running
        await self._ledger.close()
        if self._reader is not None:
            await self._reader.close()
