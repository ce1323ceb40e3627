"""The rounds: every cell once in each, so that whatever the machine does meanwhile falls on all of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from tests.load import cells, one_transaction
from tests.load.database import Bench, make_room, row_sizes
from tests.load.generator import Load
from tests.load.plan import KINDS, TRACED_SHARE, BenchPlan
from tests.load.processes import Process, apis, gateway_before, scraped, started
from tests.load.series import Series

Attempt = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does some work under a name; where it fails, the run goes on and tells."""
_PRIMING_S = 0.2
_OUTSTANDING_IN_BATCHES = 2_000
_BATCH_CONNECTIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures what *plan* asks for on *bench*."""

    bench: Bench
    plan: BenchPlan
    series: Series
    attempt: Attempt

    async def run(self, console: Console) -> None:
        """Run every round."""
        await cells.committer(self.bench, hot=False, ahead=True, seconds=_PRIMING_S)
        for number in range(1, self.plan.rounds + 1):
            console.print(f"round {number} of {self.plan.rounds}")
            await make_room(self.bench.database.dsn_admin)
            await self._round()

    async def _round(self) -> None:
        for work, cells_of in (
            (self._committer, ("committer",)),
            (self._one_api, ("http", "batches", "idle")),
            (self._traced, ("traced",)),
            (self._gateway, ("gateway",)),
            (self._one_transaction, ("one_transaction",)),
            (self._pgbench, ("pgbench",)),
            (self._idle_pgbench, ("idle",)),
            (self._echo, ("echo",)),
            (self._instances, ("instances",)),
        ):
            if self.plan.has(*cells_of):
                await self.attempt(", ".join(cells_of), work)

    async def _committer(self) -> None:
        for kind in KINDS:
            for ahead in (True, False):
                rate = await cells.committer(self.bench, hot=kind == "hot", ahead=ahead, seconds=self.plan.seconds)
                self.series.add(f"committer {kind} {'ahead' if ahead else 'locked'}", rate)

    async def _one_api(self) -> None:
        async with apis(self.bench.database) as processes:
            if self.plan.has("http"):
                await self.attempt("http", lambda: self._http(processes))
            if self.plan.has("batches"):
                await self.attempt("batches", lambda: self._batches(processes))
            if self.plan.has("idle"):
                self.series.add("idle http", await cells.http(processes, self._load("uniform", 1)))

    async def _http(self, processes: Sequence[Process]) -> None:
        for kind in KINDS:
            await self._singles(processes, "http", kind)

    async def _batches(self, processes: Sequence[Process]) -> None:
        for kind in KINDS:
            for commands in self.plan.batches:
                connections = max(1, min(_BATCH_CONNECTIONS_MAX, _OUTSTANDING_IN_BATCHES // commands))
                load = self._load(kind, connections, commands)
                self.series.add(f"batches {kind} {commands}", await cells.http(processes, load))

    async def _traced(self) -> None:
        for share in (0.0, TRACED_SHARE, 1.0):
            async with apis(self.bench.database, settings={"TRACE_SAMPLE_RATIO": str(share)}) as processes:
                for kind in KINDS:
                    load = self._load(kind, max(self.plan.connections))
                    self.series.add(f"traced {share:.0%} {kind}", await cells.http(processes, load))
                if share == TRACED_SHARE:
                    load = self._load("uniform", max(self.plan.connections))
                    async with scraped(processes):
                        self.series.add("traced and scraped uniform", await cells.http(processes, load))

    async def _gateway(self) -> None:
        load = self._load("uniform", max(self.plan.connections))
        async with apis(self.bench.database) as (process,), gateway_before(process) as through:
            await cells.http([process], replace(load, seconds=_PRIMING_S))
            self.series.add("gateway direct", await cells.http([process], load))
            self.series.add("gateway through", await cells.http([through], load))

    async def _one_transaction(self) -> None:
        for pool in self.plan.pools:
            environment = {
                **one_transaction.ENVIRONMENT,
                "WALLET_DATABASE_URL": self.bench.database.dsn_app,
                "WALLET_READER_DATABASE_URL": self.bench.database.dsn_reader,
            }
            module = ("tests.load.one_transaction", str(pool))
            async with started(module, "WALLET_API_PORT", environment) as process:
                for kind in KINDS:
                    # 64 wait no longer than a command may take, even where one wallet lets through one at a time.
                    load = self._load(kind, min(self.plan.connections))
                    self.series.add(f"one_transaction {kind} {pool}", await cells.http([process], load))

    async def _pgbench(self) -> None:
        for kind in KINDS:
            for script in ("several_statements", "one_function"):
                for clients in self.plan.clients:
                    await self._pgbench_cell(script, kind, clients, f"pgbench {script} {kind} {clients}")

    async def _idle_pgbench(self) -> None:
        await self._pgbench_cell("one_function", "uniform", 1, "idle pgbench")

    async def _pgbench_cell(self, script: str, kind: str, clients: int, name: str) -> None:
        sizes = await row_sizes(self.bench.database.dsn_admin)
        hot, seconds = kind == "hot", self.plan.seconds
        self.series.add(name, cells.pgbench(self.bench, script, hot=hot, clients=clients, seconds=seconds, sizes=sizes))

    async def _echo(self) -> None:
        async with started(("tests.load.echo",), "ECHO_PORT", {}) as process:
            await self._singles([process], "echo", "uniform")

    async def _instances(self) -> None:
        for count in self.plan.instances:
            await self._instances_of(count, "ahead", {})
        await self._instances_of(self.plan.instances[0], "locked", {"WALLET_PIPELINING": "false"})

    async def _instances_of(self, count: int, how: str, settings: Mapping[str, str]) -> None:
        async with apis(self.bench.database, count, settings) as processes:
            for kind in KINDS:
                load = self._load(kind, max(self.plan.connections))
                self.series.add(f"instances {kind} {count} {how}", await cells.http(processes, load))

    async def _singles(self, processes: Sequence[Process], name: str, kind: str) -> None:
        for connections in self.plan.connections:
            rate = await cells.http(processes, self._load(kind, connections))
            self.series.add(f"{name} {kind} {connections}", rate)

    def _load(self, kind: str, connections: int, commands: int = 1) -> Load:
        return Load(
            wallet_ids=self.bench.wallet_ids,
            connections=connections,
            seconds=self.plan.seconds,
            hot=kind == "hot",
            commands=commands,
        )
