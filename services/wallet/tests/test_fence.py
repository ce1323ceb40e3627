"""A batch decided ahead is written only where every wallet is as it was remembered: its version alone does not tell."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import getrandbits
from uuid import UUID

import asyncpg
import pytest

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from servicekit.failures import Failure
from testkit.access import TENANT
from testkit.databases import Database
from testkit.wallet_api import Client
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.plan import BatchPlan, Planning
from wallet.application.rows import BatchInput, BatchRows
from wallet.application.units import Unit, UnitKey, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds, WithdrawFunds
from wallet.domain.policy import policy_name
from wallet.domain.restrictions import FreezeWallet
from wallet.domain.rows import Rows
from wallet.domain.wallets import Wallet
from wallet.entrypoints.rendering import JsonRenderer

pytestmark = pytest.mark.integration

CLIENT = new_id()
PLANNING = Planning(
    ids=IDS,
    draw_stamp=partial(getrandbits, 63),
    hash_reference=lambda _tenant, reference: reference.encode(),
    renderer=JsonRenderer(CATALOG.answers),
)


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[PostgresLedger]:
    """Give a ledger of its own."""
    ledger = PostgresLedger(database.dsn_app)
    yield ledger
    await ledger.close()


class Decided:
    """A batch of one command, decided on whatever it is called with."""

    def __init__(self, command: Command, key: str) -> None:
        self.key: UnitKey = (CLIENT, key, 0)
        now_s = monotonic_s()
        unit = Unit(
            path="/v1/test",
            commands=(command,),
            is_atomic_batch=False,
            mandate=platform_mandate(TENANT),
            actor="tester",
            key=self.key,
            fingerprint=fingerprint("/v1/test", (command,)),
            deadline_s=now_s + 30,
        )
        self.units = [unit]
        self.plan = BatchPlan(self.units, PLANNING)

    def __call__(self, given: BatchInput) -> BatchRows:
        name = policy_name(TENANT)
        rows = given.rows.copy()
        rows.setdefault(name, None)
        self.given = replace(given, rows=rows, stamps={name: None, **given.stamps})
        return self.plan(self.given)


async def row_of(database: Database, wallet_id: UUID) -> Sequence[object]:
    """Return the wallet's version and balance, and how many entries it has."""
    connection = await asyncpg.connect(database.dsn_admin)
    try:
        row = await connection.fetchrow(
            """select version, posted_minor, (select count(*) from wallet.journal where account_id = id
                                                 and system_account is null)
                 from wallet.wallet where id = $1""",
            wallet_id,
        )
    finally:
        await connection.close()
    assert row is not None
    return tuple(row)


async def looked_at(ledger: PostgresLedger, wallet_id: UUID) -> BatchInput:
    """Return the wallet as it is, and the time, by a deposit of one minor unit."""
    first = Decided(DepositFunds(wallet_id, 1, "USD"), "first")
    await ledger.commit([wallet_id], [first.key], first)
    return left_by(first)


def left_by(batch: Decided) -> BatchInput:
    """Return the rows as *batch* leaves them, as the input of the next."""
    after = {name: known for name, known in batch.plan.after.items() if known.row is not None}
    rows = Rows({name: known.row for name, known in after.items()})
    return BatchInput(rows, {name: known.stamp for name, known in after.items()}, {}, batch.plan.now)


def version_of(given: BatchInput, wallet_id: UUID) -> int:
    """Return the wallet's version as it was given to a plan."""
    wallet = given.rows[wallet_id]
    assert isinstance(wallet, Wallet)
    return wallet.version


async def refusal_of(ledger: PostgresLedger, batch: Decided, rows: BatchRows) -> str | None:
    """Return the SQLSTATE with which the fence refuses *batch*, which asks for it to be run again."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await ledger.commit_if_unchanged(batch.plan.free_keys, batch.plan.expected, rows)
    assert ledger.classify(refused.value) is Failure.RETRY
    return refused.value.sqlstate


@pytest.mark.parametrize("somebody_else", ["withdraws", "freezes"])
async def test_a_batch_behind_one_that_was_not_written_is_refused(
    client: Client, ledger: PostgresLedger, database: Database, somebody_else: str
) -> None:
    wallet_id = UUID(await client.open(deposit="100"))
    remembered = await looked_at(ledger, wallet_id)
    lost = Decided(DepositFunds(wallet_id, 2_500, "USD"), "lost")
    lost(remembered)
    behind = Decided(DepositFunds(wallet_id, 5, "USD"), "behind")
    rows = behind(left_by(lost))
    other: Command = WithdrawFunds(wallet_id, 2_500, "USD")
    if somebody_else == "freezes":
        other = FreezeWallet(wallet_id, "operator", "debits", "a word")
    moved_on = Decided(other, "moved on")
    await ledger.commit([wallet_id], [moved_on.key], moved_on)
    assert version_of(left_by(moved_on), wallet_id) == version_of(behind.given, wallet_id)
    before = await row_of(database, wallet_id)

    refused_with = await refusal_of(ledger, behind, rows)

    assert refused_with == "WL001"
    assert await row_of(database, wallet_id) == before


async def test_a_batch_behind_one_that_was_written_is_written(
    client: Client, ledger: PostgresLedger, database: Database
) -> None:
    wallet_id = UUID(await client.open(deposit="100"))
    remembered = await looked_at(ledger, wallet_id)
    first = Decided(FreezeWallet(wallet_id, "operator", "debits", "a word"), "written")
    await ledger.commit_if_unchanged([], remembered.stamps, first(remembered))
    behind = Decided(DepositFunds(wallet_id, 5, "USD"), "behind")
    rows = behind(left_by(first))

    await ledger.commit_if_unchanged(behind.plan.free_keys, behind.plan.expected, rows)

    assert await row_of(database, wallet_id) == (5, 10_006, 5)


async def test_a_batch_decided_by_a_clock_that_was_set_back_is_refused(
    client: Client, ledger: PostgresLedger, database: Database
) -> None:
    wallet_id = UUID(await client.open(deposit="100"))
    remembered = await looked_at(ledger, wallet_id)
    ahead = Decided(DepositFunds(wallet_id, 5, "USD"), "ahead")
    rows = ahead(replace(remembered, now=remembered.now + timedelta(hours=1)))
    before = await row_of(database, wallet_id)

    refused_with = await refusal_of(ledger, ahead, rows)

    assert refused_with == "WL001"
    assert await row_of(database, wallet_id) == before


async def test_a_batch_whose_key_is_taken_is_refused(
    client: Client, ledger: PostgresLedger, database: Database
) -> None:
    wallet_id = UUID(await client.open(deposit="100"))
    remembered = await looked_at(ledger, wallet_id)
    again = Decided(DepositFunds(wallet_id, 5, "USD"), "first")
    rows = again(remembered)
    before = await row_of(database, wallet_id)

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await ledger.commit_if_unchanged(again.plan.free_keys, again.plan.expected, rows)

    assert ledger.classify(refused.value) is Failure.RETRY
    assert await row_of(database, wallet_id) == before


async def test_a_refusal_by_a_wallet_that_has_moved_on_is_refused(
    client: Client, ledger: PostgresLedger, database: Database
) -> None:
    wallet_id = UUID(await client.open(deposit="100"))
    remembered = await looked_at(ledger, wallet_id)
    too_much = Decided(WithdrawFunds(wallet_id, 10_002, "USD"), "too much")
    rows = too_much(remembered)
    assert rows.moved == [], "the rule refuses, so nothing but the answer is written"
    moved_on = Decided(DepositFunds(wallet_id, 1, "USD"), "moved on")
    await ledger.commit([wallet_id], [moved_on.key], moved_on)

    refused_with = await refusal_of(ledger, too_much, rows)

    assert refused_with == "WL001"
    assert await row_of(database, wallet_id) == (4, 10_002, 4)


async def test_a_key_that_is_not_written_is_refused_where_it_is_taken(client: Client, ledger: PostgresLedger) -> None:
    remembered = await looked_at(ledger, UUID(await client.open(deposit="100")))
    nowhere = Decided(DepositFunds(new_id(), 5, "USD"), "first")
    absent = nowhere.units[0].commands[0].names(Rows())[0]
    rows = nowhere(BatchInput(Rows({absent: None}), {absent: None}, {}, remembered.now))
    assert rows.idempotency == [], "an answer that there is no such wallet leaves the key free"

    refused_with = await refusal_of(ledger, nowhere, rows)

    assert refused_with == "WL002"
