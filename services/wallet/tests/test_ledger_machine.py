"""The whole write path under a state machine, judged by an independent model.

Keys are used again, and the database's connection breaks between any two steps of a batch.
The model (`ledger_model.py`) knows nothing of batches, shards, versions or rows.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from services.wallet.tests.ledger_model import Model
from services.wallet.tests.ledgers import a_committer

from contracts.access import subject_id
from contracts.ids import new_id
from servicekit.clock import monotonic_s
from testkit.databases import Database, TemplateDatabase
from wallet.adapters.ledger_postgres import Connection, PostgresLedger
from wallet.application.ports import Committed
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import (
    Done,
    KeyReused,
    NotFound,
    Outcome,
    Stored,
    Unit,
    UnitKey,
    fingerprint,
)
from wallet.bootstrap.catalog import CATALOG
from wallet.bootstrap.operating import FOLDING
from wallet.domain.commands import Command
from wallet.domain.destinations import Destination
from wallet.domain.hold_commands import CaptureHold, PlaceHold, VoidHold
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.payments import MakePayment
from wallet.domain.refund_commands import ChargeBack, RefundTransaction, ReverseTransaction, TakeBack
from wallet.domain.rows import RowName
from wallet.domain.texts import FreeText
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

TENANT: Final = UUID("01936f5e-7c4e-7a30-8f6e-000000000001")
CLIENT: Final = UUID("01936f5e-7c4e-7a30-8f6e-000000000002")
ACTOR: Final = "tester"
MANDATE: Final = msgspec.structs.replace(platform_mandate(TENANT), client=subject_id(TENANT, ACTOR))
STEPS: Final = ("read", "begin", "lock", "write", "finish", "commit_rows")


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


def unit_of(commands: Sequence[Command], key: str) -> Unit:
    now_s = monotonic_s()
    path = "/v1/batches" if len(commands) > 1 else "/v1/commands"
    return Unit(
        path=path,
        commands=tuple(commands),
        is_atomic_batch=len(commands) > 1,
        mandate=MANDATE,
        actor=ACTOR,
        key=(CLIENT, key, 0),
        fingerprint=fingerprint(path, tuple(commands)),
        deadline_s=now_s + 30,
    )


class LedgerMachine(RuleBasedStateMachine):
    """Drives a committer on `database`, both given by a subclass of the test, through the self.loop."""

    database: ClassVar[Database]
    loop: ClassVar[asyncio.AbstractEventLoop]
    pipelining: ClassVar[bool]
    wallets = Bundle("wallets")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.keys = 0
        self.prefix = str(new_id())
        self.ledger = BreakingLedger(self.database.dsn_app, kinds=CATALOG.kinds)
        committer, self.queue = a_committer(self.ledger, pipelining=self.pipelining)
        self.running = self.loop.create_task(committer.run())

    def teardown(self) -> None:
        self.queue.close()
        self.loop.run_until_complete(self.running)
        self.loop.run_until_complete(self.ledger.close())

    def send(self, *requests: tuple[Sequence[Command], str]) -> list[Outcome]:
        async def all_of_them() -> list[Outcome]:
            return list(await asyncio.gather(*(self.queue.submit(unit_of(*request)) for request in requests)))

        return self.loop.run_until_complete(all_of_them())

    def fresh_key(self) -> str:
        self.keys += 1
        return f"{self.prefix}-{self.keys}"

    def judge(self, commands: Sequence[Command], outcome: Outcome, key: str) -> None:
        result, status, after = self.model.expects(commands)
        assert isinstance(outcome, Stored)
        assert (outcome.result, outcome.answer[0]) == (result, status)
        assert bool(outcome.positions) == (result == Done())
        self.model.balances = after
        if outcome.resource_id is not None:
            self.model.remember(commands[0], outcome.resource_id)
        self.model.answers[key] = (tuple(commands), outcome)

    def do(self, *commands: Command) -> None:
        key = self.fresh_key()
        self.judge(commands, self.send((commands, key))[0], key)

    @initialize(target=wallets)
    def the_first_wallet(self) -> UUID:
        return self.opened()

    @rule(target=wallets)
    def open_wallet(self) -> UUID:
        return self.opened()

    def opened(self) -> UUID:
        (outcome,) = self.send(([OpenWallet("owner", "USD", placement=str(new_id()))], self.fresh_key()))
        assert isinstance(outcome, Stored)
        assert (outcome.result, outcome.answer[0]) == (Done(), 201)
        assert outcome.resource_id is not None
        self.model.balances[outcome.resource_id] = 0
        return outcome.resource_id

    @rule(wallet=wallets, amount=st.integers(1, 1_000))
    def deposit(self, wallet: UUID, amount: int) -> None:
        self.do(DepositFunds(wallet, amount, "USD"))

    @rule(wallet=wallets, amount=st.integers(1, 1_500))
    def withdraw(self, wallet: UUID, amount: int) -> None:
        self.do(WithdrawFunds(wallet, amount, "USD"))

    @rule(source=wallets, destination=wallets, amount=st.integers(1, 1_500))
    def transfer(self, source: UUID, destination: UUID, amount: int) -> None:
        if source != destination:
            self.do(TransferFunds(source, destination, amount, "USD"))

    @rule(source=wallets, destination=wallets, amounts=st.lists(st.integers(1, 900), min_size=2, max_size=4))
    def atomic_batch(self, source: UUID, destination: UUID, amounts: list[int]) -> None:
        if source != destination:
            self.do(
                DepositFunds(source, amounts[0], "USD"),
                *(TransferFunds(source, destination, amount, "USD") for amount in amounts[1:]),
            )

    @rule(wallet=wallets, amounts=st.lists(st.integers(1, 500), min_size=2, max_size=6))
    def several_at_once(self, wallet: UUID, amounts: list[int]) -> None:
        """Let the committer make one batch of them: in their order, on one wallet."""
        commands = [
            WithdrawFunds(wallet, amount, "USD") if amount % 3 == 0 else DepositFunds(wallet, amount, "USD")
            for amount in amounts
        ]
        keys = [self.fresh_key() for _ in commands]
        outcomes = self.send(*(([command], key) for command, key in zip(commands, keys, strict=True)))
        for command, outcome, key in zip(commands, outcomes, keys, strict=True):
            self.judge([command], outcome, key)

    def hold(self, command: Command) -> None:
        key = self.fresh_key()
        (outcome,) = self.send(([command], key))
        assert isinstance(outcome, Stored)
        assert outcome.result == self.model.holding(command, outcome.resource_id)
        self.model.answers[key] = (command,), outcome

    @rule(wallet=wallets, amount=st.integers(1, 1_500), is_funded=st.booleans())
    def place_a_hold(self, wallet: UUID, amount: int, *, is_funded: bool) -> None:
        if is_funded:
            self.do(DepositFunds(wallet, amount, "USD"))
        self.hold(PlaceHold(wallet, amount, "USD"))

    @rule(data=st.data(), payee=wallets, amount=st.integers(1, 1_000), is_final=st.booleans())
    def capture(self, data: st.DataObject, payee: UUID, amount: int, *, is_final: bool) -> None:
        if self.model.holds:
            hold_id = data.draw(st.sampled_from([*self.model.holds]))
            if self.model.holds[hold_id][0] != payee:
                self.hold(CaptureHold(hold_id, (Destination(payee),), amount, "USD", is_final=is_final))

    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        if self.model.holds:
            self.hold(VoidHold(data.draw(st.sampled_from([*self.model.holds]))))

    @rule(target=wallets, payees=st.lists(wallets, min_size=1, max_size=3, unique=True), amount=st.integers(1, 90))
    def pay_from_a_new_wallet(self, payees: list[UUID], amount: int) -> UUID:
        source = self.opened()
        parts = [amount * 7 ** (place % 2) for place in range(len(payees) + 1)]
        self.do(DepositFunds(source, sum(parts), "USD"))
        destinations = tuple(map(Destination, [*payees, None], parts))
        self.do(MakePayment(source, sum(parts), "USD", destinations))
        return source

    @rule(
        data=st.data(),
        amount=st.one_of(st.none(), st.integers(1, 400)),
        how=st.sampled_from([RefundTransaction, RefundTransaction, ReverseTransaction, ChargeBack]),
        is_forced=st.booleans(),
    )
    def take_back(self, data: st.DataObject, amount: int | None, how: type[TakeBack], *, is_forced: bool) -> None:
        if not self.model.made:
            return
        kind = data.draw(st.sampled_from(sorted({each.type for each in self.model.made.values()}, reverse=True)))
        how = ReverseTransaction if how is ChargeBack and kind != "deposit" else how
        transaction_id = data.draw(st.sampled_from([key for key, each in self.model.made.items() if each.type == kind]))
        made = self.model.made[transaction_id]
        asked: dict[str, Any] = {} if how is ReverseTransaction else {"amount_minor": amount, "currency": "USD"}
        command = how(transaction_id, FreeText(reason="back"), is_forced, made.original, **asked)
        key = self.fresh_key()
        (outcome,) = self.send(([command], key))
        assert isinstance(outcome, Stored)
        assert outcome.result == self.model.taking_back(command)
        self.model.answers[key] = (command,), outcome

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Expect the first answer, to the byte."""
        if self.model.answers:
            key = data.draw(st.sampled_from(sorted(self.model.answers)))
            commands, first = self.model.answers[key]
            (outcome,) = self.send((commands, key))
            assert isinstance(outcome, Stored)
            assert outcome.is_replayed
            assert (outcome.result, outcome.answer, outcome.resource_id, outcome.positions) == (
                first.result,
                first.answer,
                first.resource_id,
                first.positions,
            )

    @rule(data=st.data(), wallet=wallets)
    def reuse_a_key(self, data: st.DataObject, wallet: UUID) -> None:
        """Expect that another request under a used key does nothing."""
        if self.model.answers:
            key = data.draw(st.sampled_from(sorted(self.model.answers)))
            (outcome,) = self.send(([DepositFunds(wallet, 999_999, "USD")], key))
            assert outcome == KeyReused()

    @rule(amount=st.integers(1, 9))
    def pay_nobody(self, amount: int) -> None:
        (outcome,) = self.send(([DepositFunds(new_id(), amount, "USD")], self.fresh_key()))
        assert isinstance(outcome, NotFound)

    @rule(when=st.sampled_from(["before", "after"]), step=st.sampled_from(STEPS))
    def break_the_next_batch(self, when: str, step: str) -> None:
        self.ledger.breaks = (when, step)

    @rule(wallet=wallets)
    def look(self, wallet: UUID) -> None:
        async def stored() -> Any:
            connection = await asyncpg.connect(self.database.dsn_app)
            try:
                return await connection.fetchrow(
                    "select posted_minor, posted_minor - held_minor from wallet.wallet where id = $1", wallet
                )
            finally:
                await connection.close()

        expected = self.model.balances[wallet], self.model.available(wallet)
        assert tuple(self.loop.run_until_complete(stored())) == expected


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that the machine's rules, which are not coroutines, can drive."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_answer_is_what_the_model_says(
    wallet_template: TemplateDatabase, loop: asyncio.AbstractEventLoop, *, pipelining: bool
) -> None:
    context = wallet_template.database()
    database = loop.run_until_complete(context.__aenter__())
    try:
        run_state_machine_as_test(
            type("MachineHere", (LedgerMachine,), {"database": database, "loop": loop, "pipelining": pipelining}),
            settings=settings(
                max_examples=50,
                stateful_step_count=30,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
        report = loop.run_until_complete(verify(database.dsn_app, lambda _rows: None))
        assert report.holds, report.findings
        assert report.rows > 0
        made = loop.run_until_complete(rebuild(database.dsn_app, FOLDING, lambda _rows: None))
        assert made.is_equal, (made.differences, made.breaches)
        assert made.states > 0
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
