"""The servers that reads are put to: the primary, and the replicas, each probed over and over."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg
from prometheus_client import CollectorRegistry, Counter

from contracts.ids import SHARDS
from servicekit.consumer import checkpoints
from servicekit.health import Check
from servicekit.postgres import DRIVER_ERRORS, Pool, PoolSettings, open_pool
from servicekit.read_model.projected import Projected
from servicekit.telemetry import Telemetry
from servicekit.tenant_pool import ReaderExemptError, TenantPool, refuse_exempt
from transaction_history.domain.targets import Choice, Probe, Why, choose, is_near
from transaction_history.projection.read_model_postgres import SCHEMA

if TYPE_CHECKING:
    _Apart = asyncpg.Connection[asyncpg.Record]
else:
    _Apart = asyncpg.Connection  # not subscriptable

PRIMARY: Final = "primary"
PROBED_EVERY_S: Final = 0.2
PROBE_DEADLINE_S: Final = 0.5
"""A replica that takes longer is not read from until it answers again."""

# What it has received it has replayed, and somebody sends to it: it lags by nothing, however long nothing was written.
# Else the age of what it replayed last; null where it replayed nothing since it was started.
_STATE: Final = """
    select pg_is_in_recovery() as is_in_recovery,
           case when exists (select from pg_stat_wal_receiver) and pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn()
                then 0
                else greatest(0, extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)
           end::bigint as lag_ms"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """How each replica is reached; one that lags *lag_ms_max* is not read from."""

    pools: Sequence[PoolSettings]
    lag_ms_max: int


@dataclass(frozen=True, slots=True)
class Target:
    """A server that answers reads, as views are opened on it."""

    name: str
    tenants: TenantPool
    projected: Projected


class Replica:
    """A server that follows the primary, and what it told last."""

    def __init__(self, target: Target, pool: Pool) -> None:
        self.target = target
        self.probe: Probe | None = None
        self._pool = pool
        self._connection: _Apart | None = None
        self._trouble = "not asked yet"

    async def watch(self) -> None:
        """Probe the replica until cancelled."""
        try:
            while True:
                self.probe = await self._asked()
                await asyncio.sleep(PROBED_EVERY_S)
        finally:
            self._give_up()

    def check(self, lag_ms_max: int) -> Check:
        """Return whether it is read from, and why not."""
        probe = self.probe
        if probe is None:
            return Check(ok=False, detail=self._trouble)
        if not probe.is_in_recovery:
            return Check(ok=False, detail="promoted: it follows nobody, and is not read from")
        behind = "it does not know how far it is behind" if probe.lag_ms is None else f"{probe.lag_ms} ms behind"
        is_read = is_near(probe, lag_ms_max)
        return Check(ok=is_read, detail=behind if is_read else f"{behind}: not read from")

    async def _asked(self) -> Probe | None:
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                return await self._ask()
        except ReaderExemptError as error:
            self._trouble = str(error)
        except (*DRIVER_ERRORS, OSError):
            self._trouble = "it does not answer"
        self._give_up()
        return None

    async def _ask(self) -> Probe:
        if self._connection is None:
            self._connection = await self._pool.connect_apart()
            await refuse_exempt(self._connection)
        state = await self._connection.fetchrow(_STATE)
        assert state is not None, "a select without a table has a row"
        reach = await checkpoints.reached(self._connection, SCHEMA, range(SHARDS))
        return Probe(reach, state["is_in_recovery"], state["lag_ms"])

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Targets:
    """Says which server a read is put to, and counts it."""

    def __init__(
        self, primary: Target, replicas: Sequence[Replica], *, lag_ms_max: int, registry: CollectorRegistry
    ) -> None:
        self.primary = primary
        self._replicas = replicas
        self._lag_ms_max = lag_ms_max
        self._turn = 0
        self._reads = reads_counter(registry)

    def choose(self, wanted: Mapping[int, int]) -> Choice:
        """Return whom to ask for what has come to *wanted*."""
        self._turn += 1
        probes = [replica.probe for replica in self._replicas]
        return choose(probes, wanted, lag_ms_max=self._lag_ms_max, turn=self._turn)

    def replica(self, number: int) -> Target:
        """Return the replica of that number."""
        return self._replicas[number].target

    def count(self, target: Target, why: Why) -> None:
        """Count a read that is put to *target*."""
        self._reads.labels(target.name, why).inc()

    def check(self) -> Mapping[str, Check]:
        """Return how each replica is, by name."""
        return {replica.target.name: replica.check(self._lag_ms_max) for replica in self._replicas}


def reads_counter(registry: CollectorRegistry) -> Counter:
    """Register and return the counter of reads."""
    return Counter("history_reads_total", "Reads by the server they were put to.", ("target", "why"), registry=registry)


@asynccontextmanager
async def open_targets(primary: Target, replicas: ReplicaSettings, telemetry: Telemetry) -> AsyncIterator[Targets]:
    """Give the servers to read from, the *replicas* probed: none of them need answer, now or later."""
    async with AsyncExitStack() as stack:
        opened = []
        for number, settings in enumerate(replicas.pools, start=1):
            name = f"replica-{number}"
            pool = await stack.enter_async_context(await open_pool(settings))
            telemetry.pools.watch(name, pool)
            projected = await stack.enter_async_context(Projected(pool, SCHEMA))
            opened.append(Replica(Target(name, TenantPool(pool), projected), pool))
        watching = [asyncio.create_task(replica.watch(), name=replica.target.name) for replica in opened]
        try:
            yield Targets(primary, opened, lag_ms_max=replicas.lag_ms_max, registry=telemetry.registry)
        finally:
            for task in watching:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*watching)
