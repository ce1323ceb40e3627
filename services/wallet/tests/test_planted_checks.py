"""What is decided ahead is checked row by row: each check is taken out once, to see that its test would notice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from random import getrandbits
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from services.wallet.tests.vouchers import VOUCHER, IssueVoucher, RedeemVoucher

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from testkit.databases import Database
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.ports import Committed, Decide
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.rows import BatchInput, BatchRows, Stamps
from wallet.application.units import Done, NotFound, Outcome, Refused, Stored, Unit, UnitKey, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.hold_commands import PlaceHold
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.limit_commands import ChangeLimits
from wallet.domain.limits import Limit, Usages, read_usages
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds, WithdrawFunds
from wallet.domain.outcomes import RefusalCode
from wallet.domain.policy import HoldTerms
from wallet.domain.policy_commands import ChangeHoldTerms
from wallet.domain.rows import RowName
from wallet.domain.wallets import Wallet
from wallet.entrypoints.rendering import Answers, JsonRenderer, answer_wallet
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

TENANT, CLIENT = new_id(), new_id()
_COMMIT_LOCK = "select pg_advisory_lock(7, 0)"
_RELEASE = "select pg_advisory_unlock(7, 0)"
_WAITING = """
    select count(*) from pg_stat_activity
     where datname = current_database() and application_name = 'wallet-committer' and wait_event_type = 'Lock'"""


class Instance:
    """A committer at work on the database, as each process of the API has one."""

    def __init__(self, database: Database, ledger: type[PostgresLedger] = PostgresLedger) -> None:
        metrics = CommitterMetrics(CollectorRegistry())
        self.queue = CommandQueue(QueueLimits(), metrics=metrics)
        self.ledger = ledger(database.dsn_app, kinds=[VOUCHER, *CATALOG.kinds])
        answers: Answers = {**CATALOG.answers, IssueVoucher: answer_wallet, RedeemVoucher: answer_wallet}
        committer = Committer(
            self.ledger,
            self.queue,
            planning=Planning(
                ids=IDS,
                draw_stamp=partial(getrandbits, 63),
                hash_reference=lambda _tenant, reference: reference.encode(),
                renderer=JsonRenderer(answers),
            ),
            metrics=metrics,
            settings=CommitterSettings(),
        )
        self.running = asyncio.create_task(committer.run())

    def submit(self, command: Command) -> "asyncio.Future[Outcome]":
        now_s = monotonic_s()
        unit = Unit(
            path="/v1/test",
            commands=(command,),
            is_atomic_batch=False,
            mandate=platform_mandate(TENANT),
            actor="tester",
            key=(CLIENT, str(new_id()), 0),
            fingerprint=fingerprint("/v1/test", (command,)),
            deadline_s=now_s + 30,
        )
        return self.queue.submit(unit)

    async def do(self, command: Command) -> UUID:
        """Carry out *command*; return the id of what it made."""
        outcome = await self.submit(command)
        assert isinstance(outcome, Stored)
        assert outcome.result == Done()
        assert outcome.resource_id is not None
        return outcome.resource_id

    async def close(self) -> None:
        self.queue.close()
        await self.running
        await self.ledger.close()


@pytest.fixture
async def instances(database: Database) -> AsyncIterator[tuple[Instance, Instance]]:
    """Give two instances on one database."""
    both = Instance(database), Instance(database)
    yield both
    for instance in both:
        await instance.close()


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def plant(admin: asyncpg.Connection, function: str, old: str, new: str) -> None:
    """Plant a bug in a function of the database."""
    source: str = await admin.fetchval("select pg_get_functiondef($1::regproc)", function)
    assert source.count(old) == 1, f"{function} is not as the plant knows it"
    await admin.execute(source.replace(old, new))


async def one_behind_the_other(
    admin: asyncpg.Connection, *sends: Callable[[], "asyncio.Future[Outcome]"]
) -> list[Outcome]:
    """Have each batch decided before any is committed, and committed in this order; return their outcomes."""
    await admin.execute(_COMMIT_LOCK)
    sent = []
    async with asyncio.timeout(10):
        for send in sends:
            sent.append(send())
            while await admin.fetchval(_WAITING) < len(sent):  # noqa: ASYNC110 - in the database
                await asyncio.sleep(0.005)
    await admin.execute(_RELEASE)
    return list(await asyncio.gather(*sent))


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "rows besides wallets left out of the check"])
async def test_what_was_decided_by_a_policy_that_has_changed_since_is_decided_again(
    instances: tuple[Instance, Instance], admin: asyncpg.Connection, *, is_planted: bool
) -> None:
    one, other = instances
    wallet = await one.do(OpenWallet("owner", "USD"))
    await one.do(DepositFunds(wallet, 100, "USD"))
    await one.submit(ChangeHoldTerms(0, HoldTerms()))
    await other.do(PlaceHold(wallet, 1, "USD"))  # it knows the policy now
    in_five_days = await admin.fetchval("select now() + interval '5 days'")
    if is_planted:
        await plant(
            admin, "wallet.commit_rows_2", "where s.stamp = e.stamp order by s.kind", "where true order by s.kind"
        )

    _, held = await one_behind_the_other(
        admin,
        lambda: one.submit(ChangeHoldTerms(1, HoldTerms(days=1, days_max=1))),
        lambda: other.submit(PlaceHold(wallet, 10, "USD", in_five_days)),
    )

    assert isinstance(held, Stored)
    assert held.result == (Done() if is_planted else Refused(RefusalCode.HOLD_EXPIRY_OUT_OF_RANGE))


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "absence not checked"])
async def test_what_is_decided_on_an_absence_is_decided_again_where_the_row_was_made(
    instances: tuple[Instance, Instance], admin: asyncpg.Connection, *, is_planted: bool
) -> None:
    one, other = instances
    issuer, payee = [await one.do(OpenWallet("owner", "USD")) for _ in range(2)]
    voucher = new_id()
    if is_planted:
        absent = "not exists (select from wallet.state s where s.kind = e.kind and s.id = e.id)"
        await plant(admin, "wallet.commit_rows_2", absent, "true")

    _, redeemed = await one_behind_the_other(
        admin,
        lambda: one.submit(IssueVoucher(issuer, 100, voucher)),
        lambda: other.submit(RedeemVoucher(voucher, payee, 60, "USD")),
    )

    if is_planted:
        assert isinstance(redeemed, NotFound), "though it was there when this was committed"
    else:
        assert isinstance(redeemed, Stored)
        assert redeemed.result == Done()


class UsageInProcess(PostgresLedger):
    """A planted bug: what is counted under limits is kept in the process, and not taken from the wallet's row."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._kept: dict[UUID, Usages] = {}

    async def read(self, names: Collection[RowName], keys: Collection[UnitKey]) -> BatchInput:
        return self._with_kept(await super().read(names, keys))

    async def commit(self, names: Collection[RowName], keys: Sequence[UnitKey], decide: Decide) -> list[int]:
        return await super().commit(names, keys, lambda locked: self._keep(decide(self._with_kept(locked))))

    async def commit_if_unchanged(self, keys: Sequence[UnitKey], expected: Stamps, rows: BatchRows) -> Committed:
        committed = await super().commit_if_unchanged(keys, expected, rows)
        self._keep(rows)
        return committed

    def _with_kept(self, found: BatchInput) -> BatchInput:
        for name, row in found.rows.items():
            if isinstance(row, Wallet):
                found.rows[name] = replace(row, usage=self._kept.get(row.id, ()))
        return found

    def _keep(self, rows: BatchRows) -> BatchRows:
        self._kept |= {moved.id: read_usages(moved.usage) for moved in rows.moved}
        return rows


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "usage kept in the process"])
async def test_what_one_instance_counted_binds_the_other(database: Database, *, is_planted: bool) -> None:
    one, other = (Instance(database, UsageInProcess if is_planted else PostgresLedger) for _ in range(2))
    wallet = await one.do(OpenWallet("owner", "USD"))
    await one.do(DepositFunds(wallet, 100, "USD"))
    three = Limit(scope="wallet", operation="withdrawal", currency="USD", month_count=3)
    await one.submit(ChangeLimits(wallet, limits=(three,)))

    for instance in (one, other, one):
        await instance.do(WithdrawFunds(wallet, 1, "USD"))
    fourth = await other.submit(WithdrawFunds(wallet, 1, "USD"))
    for instance in (one, other):
        await instance.close()

    assert isinstance(fourth, Stored)
    assert fourth.result == (Done() if is_planted else Refused(RefusalCode.LIMIT_EXCEEDED))
    report = await verify(database.dsn_admin, lambda _rows: None)
    assert {finding.invariant for finding in report.findings} == ({"I16"} if is_planted else set())


async def test_the_database_refuses_a_row_that_is_used_beyond_its_cap(
    instances: tuple[Instance, Instance], admin: asyncpg.Connection
) -> None:
    one, _ = instances
    voucher = await one.do(IssueVoucher(await one.do(OpenWallet("owner", "USD")), 100))

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await admin.execute("update wallet.state set used_minor = 101 where id = $1", voucher)

    assert refused.value.constraint_name == "state_is_used_within_its_cap"
