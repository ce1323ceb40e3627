"""What ends holds, and what they hold until then: each rule is broken once, to see that its test would notice."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from services.wallet.tests.test_planted_checks import TENANT, Instance

from servicekit.maintenance import JobRun
from testkit.databases import Database
from testkit.waiting import eventually
from wallet.application.metrics import SweepMetrics
from wallet.application.units import Deferred, Refused, Stored, Unit
from wallet.domain.commands import Command
from wallet.domain.hold_commands import ExpireHold, IncreaseHold, PlaceHold
from wallet.domain.holds import HoldStatus
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.money import DepositFunds, WithdrawFunds
from wallet.domain.outcomes import RefusalCode
from wallet.domain.wallets import Wallet
from wallet.sweeping.due_postgres import Due
from wallet.sweeping.sweeper import Sweeper

pytestmark = pytest.mark.integration

IN_A_SECOND = "select clock_timestamp() + interval '1 second'"


class KeyWithoutDueTime(Sweeper):
    """The bug: one key for a hold's end, whenever that is."""

    def _unit(self, due: Due, name: str, command: Command) -> Unit:
        unit = super()._unit(due, name, command)
        client, key, part = unit.key
        unit.key = client, key.rpartition(":")[0], part
        return unit


@pytest.fixture
async def instance(database: Database) -> AsyncIterator[Instance]:
    """Give a committer at work."""
    one = Instance(database)
    yield one
    await one.close()


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def is_due(admin: asyncpg.Connection, hold_id: UUID) -> bool:
    due: bool = await admin.fetchval("select due_at < clock_timestamp() from wallet.state where id = $1", hold_id)
    return due


async def status_of(admin: asyncpg.Connection, hold_id: UUID) -> HoldStatus:
    return HoldStatus(await admin.fetchval("select status from wallet.state where id = $1", hold_id))


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "the key without the due time"])
async def test_a_refusal_for_an_end_that_was_moved_does_not_answer_for_the_new_one(
    instance: Instance, admin: asyncpg.Connection, *, is_planted: bool
) -> None:
    wallet = await instance.do(OpenWallet("owner", "USD"))
    await instance.do(DepositFunds(wallet, 100, "USD"))
    seen_end = await admin.fetchval(IN_A_SECOND)
    hold_id = await instance.do(PlaceHold(wallet, 60, "USD", seen_end))
    await instance.submit(IncreaseHold(hold_id, expires_at=await admin.fetchval(IN_A_SECOND)))
    sweeping = KeyWithoutDueTime if is_planted else Sweeper
    sweeper = sweeping(instance.queue, metrics=SweepMetrics(CollectorRegistry()), deadline_s=10.0)

    as_seen = Due(hold_id, TENANT, seen_end, 0.0)
    unit = sweeper._unit(as_seen, f"hold:{hold_id}:expired", ExpireHold(hold_id, seen_end))
    await instance.queue.submit(unit)
    await eventually(lambda: is_due(admin, hold_id))
    await sweeper.sweep(JobRun(admin, None))

    assert await status_of(admin, hold_id) == (HoldStatus.OPEN if is_planted else HoldStatus.EXPIRED)


async def test_a_clock_that_is_behind_the_one_that_found_a_hold_due_leaves_its_end_to_be_told_again(
    instance: Instance, admin: asyncpg.Connection
) -> None:
    wallet = await instance.do(OpenWallet("owner", "USD"))
    await instance.do(DepositFunds(wallet, 100, "USD"))
    end = await admin.fetchval(IN_A_SECOND)
    hold_id = await instance.do(PlaceHold(wallet, 60, "USD", end))
    sweeper = Sweeper(instance.queue, metrics=SweepMetrics(CollectorRegistry()), deadline_s=10.0)

    early = sweeper._unit(Due(hold_id, TENANT, end, 0.0), f"hold:{hold_id}:expired", ExpireHold(hold_id, end))
    outcome = await instance.queue.submit(early)
    await eventually(lambda: is_due(admin, hold_id))
    await sweeper.sweep(JobRun(admin, None))

    assert isinstance(outcome, Deferred)
    assert await status_of(admin, hold_id) == HoldStatus.EXPIRED


@pytest.mark.parametrize("is_planted", [False, True], ids=["as it is", "what is past its end not counted as held"])
async def test_a_hold_past_its_end_holds_until_it_is_released(
    instance: Instance, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, *, is_planted: bool
) -> None:
    wallet = await instance.do(OpenWallet("owner", "USD"))
    await instance.do(DepositFunds(wallet, 100, "USD"))
    hold_id = await instance.do(PlaceHold(wallet, 60, "USD", await admin.fetchval(IN_A_SECOND)))
    await eventually(lambda: is_due(admin, hold_id))
    if is_planted:
        monkeypatch.setattr(Wallet, "spendable_minor", property(lambda wallet: wallet.posted_minor))

    if is_planted:
        with pytest.raises(asyncpg.CheckViolationError, match="wallet_stays_above_its_floor"):
            await instance.submit(WithdrawFunds(wallet, 50, "USD"))
    else:
        refused = await instance.submit(WithdrawFunds(wallet, 50, "USD"))
        assert isinstance(refused, Stored)
        assert refused.result == Refused(RefusalCode.INSUFFICIENT_FUNDS)
