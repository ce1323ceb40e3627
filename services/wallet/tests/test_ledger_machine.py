"""The whole write path under the machine of money: what PostgreSQL answers and keeps is what the model says.

Keys are used again, and the database's connection breaks between any two steps of a batch. The model (`money_model`)
knows nothing of batches, shards, versions or rows. The clock is the database's: what its moving does is tried in memory
(`test_money_machine.py`).
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar, Final, cast

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from services.wallet.tests.ledgers import a_committer
from services.wallet.tests.money_checks import Comparing, check_usage
from services.wallet.tests.money_machine import Machine
from services.wallet.tests.money_model import asked
from services.wallet.tests.money_walk import WEIGHTS

from contracts.ids import new_id
from servicekit.clock import utc_now
from testkit.databases import Database, TemplateDatabase
from wallet.adapters.ledger_postgres import Connection, PostgresLedger
from wallet.application.ports import Committed
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import NotFound, Outcome, Unit, UnitKey
from wallet.bootstrap.catalog import CATALOG
from wallet.bootstrap.operating import FOLDING
from wallet.domain.holds import HOLD
from wallet.domain.owners import owner_name
from wallet.domain.policy import policy_name
from wallet.domain.quotes import QUOTE
from wallet.domain.refunds import TRANSACTION
from wallet.domain.rows import RowName, StateName
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STEPS: Final = ("read", "begin", "lock", "write", "finish", "commit_rows")
EDGES: Final = (timedelta(hours=-1), timedelta(hours=1))
"""What is tried around an instant: far more than a request takes."""
OF_POSTGRES: Final = {**WEIGHTS, "batch": 8, "several": 12, "exchange": 8, "repeat": 6, "reuse": 3} | {
    "break the next batch": 25,
    "pay nobody": 2,
    "look": 3,
}


def zones_in_daytime() -> tuple[str, ...]:
    """Return two zones in which no day ends for hours."""
    offset = 12 - utc_now().hour
    return tuple(f"Etc/GMT{-each:+d}" for each in (offset, offset - 1))


class BreakingLedger(PostgresLedger):
    """Loses its connection once, right before or right after the step that `breaks` names."""

    breaks: tuple[str, str] | None = None

    async def begin(self, connection: Connection) -> None:
        self._break("before", "begin", connection)
        await super().begin(connection)
        self._break("after", "begin", connection)

    async def read_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        self._break("before", "read", connection)
        found = await super().read_rows(connection, names, keys)
        self._break("after", "read", connection)
        return found

    async def lock_rows(
        self, connection: Connection, names: Collection[RowName], keys: Sequence[UnitKey]
    ) -> BatchInput:
        self._break("before", "lock", connection)
        locked = await super().lock_rows(connection, names, keys)
        self._break("after", "lock", connection)
        return locked

    async def write_rows(self, connection: Connection, rows: BatchRows) -> list[int]:
        self._break("before", "write", connection)
        sequences = await super().write_rows(connection, rows)
        self._break("after", "write", connection)
        return sequences

    async def commit_rows(
        self, connection: Connection, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows
    ) -> Committed:
        self._break("before", "commit_rows", connection)
        committed = await super().commit_rows(connection, keys, expected, rows)
        self._break("after", "commit_rows", connection)
        return committed

    async def finish(self, connection: Connection) -> None:
        self._break("before", "finish", connection)
        await super().finish(connection)
        self._break("after", "finish", connection)

    def _break(self, when: str, step: str, connection: Connection) -> None:
        if self.breaks == (when, step):
            self.breaks = None
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError(f"broken {when} {step}")


class LedgerMachine(RuleBasedStateMachine):
    """Drives a committer on `database`, both given by a subclass of the test, through the loop; a tenant each time."""

    database: ClassVar[Database]
    loop: ClassVar[asyncio.AbstractEventLoop]
    pipelining: ClassVar[bool]
    totals: ClassVar[Counter[str]]
    """What the system accounts of all that was played have come to."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = BreakingLedger(self.database.dsn_app, kinds=CATALOG.kinds)
        self.reader = PostgresLedger(self.database.dsn_app, kinds=CATALOG.kinds)
        committer, self.queue = a_committer(self.ledger, pipelining=self.pipelining)
        self.running = self.loop.create_task(committer.run())
        self.zones = zones_in_daytime()
        self.machine = Machine(self, self.zones, EDGES, is_exact=False)
        self.zoned = set[str]()

    def teardown(self) -> None:
        self.look()
        self.queue.close()
        self.loop.run_until_complete(self.running)
        for ledger in (self.ledger, self.reader):
            self.loop.run_until_complete(ledger.close())
        self.totals.update(self.machine.model.totals)

    def now(self) -> datetime:
        return utc_now()

    def send(self, units: Sequence[Unit]) -> list[Outcome]:
        async def all_of_them() -> list[Outcome]:
            for unit in units:
                unit.outcome = asyncio.get_running_loop().create_future()
            return list(await asyncio.gather(*map(self.queue.submit, units)))

        return self.loop.run_until_complete(all_of_them())

    @initialize()
    def begin(self) -> None:
        self.machine.begin()
        self.keep_from_midnight()

    @rule(
        name=st.sampled_from([name for name, weight in OF_POSTGRES.items() for _ in range(weight)]),
        seed=st.integers(0, 2**32 - 1),
    )
    def play(self, name: str, seed: int) -> None:
        match name:
            case "break the next batch":
                dice = Random(seed)
                self.ledger.breaks = (dice.choice(("before", "after")), dice.choice(STEPS))
            case "pay nobody":
                self.pay_nobody(seed)
            case "look":
                self.look()
            case _:
                self.machine.play(name, seed)
                self.keep_from_midnight()

    def keep_from_midnight(self) -> None:
        """Give every new wallet a zone whose day does not end while the test runs."""
        for wallet in sorted(self.machine.model.wallets.keys() - self.zoned):
            self.machine.ask(asked.SetLimits(wallet, self.zones[0], ()))
            self.zoned.add(wallet)

    def pay_nobody(self, seed: int) -> None:
        """Expect that what names no wallet does nothing, and leaves its key free."""
        name = f"nobody {seed}"
        self.machine.translator.ids[name] = new_id()
        outcome = self.machine.outcome_of(asked.Deposit(name, 1 + Random(seed).randrange(9), "USD"))
        assert isinstance(outcome, NotFound)

    def look(self) -> None:
        """Compare every row."""
        read = self.loop.run_until_complete(self.reader.read(list(self.named()), []))
        Comparing().check_rows(self.machine, read.rows, is_whole=True)
        check_usage(self.machine, read.rows, utc_now())

    def named(self) -> Iterator[RowName]:
        model, ids, tenant_id = self.machine.model, self.machine.translator.ids, self.machine.mandate.tenant_id
        yield policy_name(tenant_id)
        yield from (ids[name] for name in model.wallets)
        yield from {owner_name(tenant_id, known.owner) for known in model.wallets.values()}
        for kind, names in ((HOLD, model.holds), (TRANSACTION, model.made), (QUOTE, model.quotes)):
            yield from (StateName(kind.number, ids[name]) for name in cast("Collection[str]", names))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that the machine's rules, which are not coroutines, can drive."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("pipelining", [True, False], ids=["ahead", "on locked rows"])
def test_every_answer_is_what_the_model_says(
    wallet_template: TemplateDatabase, loop: asyncio.AbstractEventLoop, *, pipelining: bool
) -> None:
    context = wallet_template.database()
    database = loop.run_until_complete(context.__aenter__())
    totals = Counter[str]()
    parts: dict[str, Any] = {"database": database, "loop": loop, "pipelining": pipelining, "totals": totals}
    try:
        run_state_machine_as_test(
            type("MachineHere", (LedgerMachine,), parts),
            settings=settings(
                max_examples=25,
                stateful_step_count=40,
                derandomize=True,
                deadline=None,
                phases=[Phase.generate],  # each try takes long: the last requests tell more than the fewest
                suppress_health_check=list(HealthCheck),
            ),
        )
        report = loop.run_until_complete(verify(database.dsn_app, lambda _rows: None))
        assert report.holds, report.findings
        told = {name: total for name, total in report.system_totals_minor.items() if total}
        assert told == {name: total for name, total in totals.items() if total}
        made = loop.run_until_complete(rebuild(database.dsn_app, FOLDING, lambda _rows: None))
        assert made.is_equal, (made.differences, made.breaches)
        assert made.states > 50
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
