"""Archiving: detached and kept, and everything answers as before."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import SHARDS
from contracts.registry import TYPES_BY_NUMBER
from servicekit.relay.journal import SqlJournal
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of
from wallet.bootstrap.operating import FOLDING
from wallet.maintenance.archive import ArchiveError, Partition, ShardState, why_kept
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.journal_reads import ROW_BYTES, JournalBusyError, reading
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.terminal.archiving import show_archiving
from wallet.maintenance.verify import Report
from wallet.maintenance.verify_postgres import verify

Fill = Callable[[int], Awaitable[None]]


async def archived(database: Database, *, keep: int = 0) -> int:
    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        return await show_archiving(archiver, keep=keep)


async def verified(database: Database) -> Report:
    return await verify(database.dsn_app, lambda _rows: None)


async def run_sql(dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def answers(client: Client, database: Database) -> Mapping[str, Any]:
    """Return what the API tells of wallets and transactions of all ages, by path."""
    rows = await run_sql(
        database.dsn_app,
        """select path from (
           select '/v1/wallets/' || id as path from wallet.wallet
           union select '/v1/transactions/' || resource_id from wallet.idempotency
            where resource_id not in (select id from wallet.wallet)) all_of_them
            order by md5(path) limit 400""",
    )
    assert len(rows) == 400
    found = [await client.get(row["path"]) for row in rows]
    assert all(answer.is_success for answer in found)
    return {row["path"]: answer.json() for row, answer in zip(rows, found, strict=True)}


def figures(report: Report) -> tuple[int, int, dict[str, int]]:
    return report.wallets, report.transactions, report.system_totals_minor


@pytest.mark.integration
async def test_after_archiving_every_answer_is_as_before(client: Client, database: Database, fill: Fill) -> None:
    await fill(75)
    first = await client.post("/v1/wallets", {"owner_id": "late", "currency": "USD"}, key="first")
    before, told = await answers(client, database), await verified(database)

    assert await archived(database) == 2

    after = await verified(database)
    assert (told.holds, after.holds) == (True, True), after.findings
    assert figures(after) == figures(told)
    assert after.rows + after.archived_rows == told.rows
    assert after.archived_rows == SHARDS * 63
    assert await answers(client, database) == before
    again = await client.post("/v1/wallets", {"owner_id": "late", "currency": "USD"}, key="first")
    assert again.headers["ledger-position"] == first.headers["ledger-position"]


@pytest.mark.integration
async def test_a_transaction_is_refunded_before_its_entries_are_archived_and_after(
    client: Client, database: Database, fill: Fill
) -> None:
    wallet = await client.open()
    deposits = [(await client.post("/v1/deposits", deposit_of(wallet, "9"))).json()["id"] for _ in range(2)]
    some = {"reason": "back", "amount": {"amount": "2", "currency": "USD"}}

    async def refund(deposit: str, status: str) -> None:
        assert (await client.post(f"/v1/transactions/{deposit}/refunds", some)).status_code == 201
        assert (await client.get(f"/v1/transactions/{deposit}")).json()["status"] == status

    await refund(deposits[0], "partially_refunded")
    await fill(75)
    assert await archived(database) == 2
    for deposit in deposits:
        await refund(deposit, "partially_refunded")

    report = await verified(database)
    assert report.holds, report.findings
    rebuilt = await rebuild(database.dsn_app, FOLDING, lambda _rows: None)
    assert rebuilt.is_equal, (rebuilt.differences, rebuilt.breaches)
    assert len((await client.get(f"/v1/transactions/{deposits[0]}")).json()["refunds"]) == 2


@pytest.mark.integration
async def test_a_shard_without_attached_rows_goes_on_behind_its_floor(
    client: Client, database: Database, fill: Fill, small_partitions: int
) -> None:
    await fill(small_partitions - 1)
    assert await archived(database) == 1
    assert await run_sql(database.dsn_app, "select from wallet.journal") == []

    await fill(2 * small_partitions - 1)
    assert await archived(database) == 1
    await fill(2 * small_partitions + 4)

    report = await verified(database)
    assert report.holds, report.findings
    assert report.rows == SHARDS * 5
    page = (await client.get("/health/deep")).json()
    assert page["checks"]["journal"]["ok"]


@pytest.mark.integration
async def test_writers_go_on_while_a_partition_changes_hands(
    client: Client, database: Database, fill: Fill, small_partitions: int
) -> None:
    await fill(small_partitions - 1)
    wallets = await run_sql(database.dsn_app, "select id from wallet.wallet")
    done = asyncio.Event()

    async def write_on() -> int:
        written = 0
        while not done.is_set():
            bodies = [deposit_of(str(row["id"]), "1") for row in wallets[written % 7 :: 7]]
            taken = await asyncio.gather(*(client.post("/v1/deposits", body) for body in bodies))
            assert {answer.status_code for answer in taken} == {201}
            written += len(taken)
            if written > 3_000:
                break
        return written

    writing = asyncio.create_task(write_on())
    assert await archived(database) == 1
    done.set()

    assert await writing > 0
    report = await verified(database)
    assert report.holds, report.findings


@pytest.mark.integration
async def test_a_batch_that_waited_for_the_archiving_finds_the_floor(
    client: Client, database: Database, fill: Fill, small_partitions: int
) -> None:
    """Hold the archiving right before its COMMIT, let batches queue behind it, and let go."""
    await fill(small_partitions - 1)
    wallets = await run_sql(database.dsn_app, "select id from wallet.wallet limit 40")
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute("begin")
    await owner.execute(
        """insert into wallet.archived_partition (number, first_seq, end_seq, rows, transactions)
           values (0, 0, 32, 0, 0);
           insert into wallet.archive_end select shard, 31, '', 0 from wallet.system_account_fold;
           alter table wallet.journal detach partition wallet.journal_0;"""
    )

    waiting = [asyncio.create_task(client.post("/v1/deposits", deposit_of(str(row["id"]), "1"))) for row in wallets]
    async with asyncio.timeout(10):
        while not await run_sql(database.dsn_admin, _WAITERS):  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)
    await owner.execute("commit")
    await owner.close()

    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}
    lowest = await run_sql(database.dsn_app, "select min(seq) as seq from wallet.journal")
    assert lowest[0]["seq"] == small_partitions


_WAITERS = (
    "select from pg_locks where relation = 'wallet.journal'::regclass and not granted and mode = 'RowExclusiveLock'"
)


@pytest.mark.integration
async def test_what_cannot_be_finished_leaves_everything_as_it_was(database: Database, fill: Fill) -> None:
    await fill(40)
    reader = await asyncpg.connect(database.dsn_app)
    await reader.execute("begin")
    await reader.fetch("select from wallet.journal limit 1")

    async with open_archiver(database.dsn_owner, FOLDING, lock_attempts=2) as archiver:
        with pytest.raises(ArchiveError, match=r"is still in use by .*pid"):
            await show_archiving(archiver, keep=0)

    await reader.close()
    assert await run_sql(database.dsn_app, "select from wallet.archive_end") == []
    assert (await verified(database)).holds
    assert await archived(database) == 1


@pytest.mark.integration
@pytest.mark.parametrize("seq", [1, 17, 31])
async def test_a_partition_with_a_gap_is_not_archived(database: Database, fill: Fill, seq: int) -> None:
    await fill(40)
    await run_sql(database.dsn_admin, "delete from wallet.journal where shard = 3 and seq = $1", seq)

    with pytest.raises(ArchiveError, match=r"shard 3 .* verify the ledger"):
        await archived(database)

    assert await run_sql(database.dsn_app, "select from wallet.archived_partition") == []


@pytest.mark.integration
async def test_a_crash_in_the_middle_leaves_everything_as_it_was(database: Database, fill: Fill) -> None:
    """Kill the archiver's session when half of the partition is hashed."""
    await fill(40)
    admin = await asyncpg.connect(database.dsn_admin)
    read = 0
    killed: asyncio.Task[str] | None = None

    def kill_half_way(rows: int) -> None:
        nonlocal read, killed
        read += rows
        if read > SHARDS * 16 and killed is None:
            killed = asyncio.create_task(admin.execute(_KILL_ARCHIVER))

    async with open_archiver(database.dsn_owner, FOLDING) as archiver:
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError)):
            await archiver.archive(await archiver.oldest(), kill_half_way)

    await admin.close()
    left = await run_sql(
        database.dsn_app, "select from wallet.archive_end union all select from wallet.archived_partition"
    )
    assert left == []
    assert (await verified(database)).holds
    assert await archived(database) == 1


_KILL_ARCHIVER = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where datname = current_database() and application_name = 'wallet-archive'"""


@pytest.mark.integration
async def test_the_archive_has_the_journals_columns_and_all_are_hashed(database: Database) -> None:
    query = """select column_name, data_type, is_nullable from information_schema.columns
                where table_schema = 'wallet' and table_name = $1 order by ordinal_position"""
    journal = await run_sql(database.dsn_admin, query, "journal")

    assert await run_sql(database.dsn_admin, query, "archived_journal") == journal
    assert re.findall(r"\w+", ROW_BYTES)[2:] == [column["column_name"] for column in journal]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        ("update servicekit.relay_lease set cursor = 30 where shard = 7", "shard 7 is published up to 30 only"),
        ("update wallet.system_account_fold set seq = 30 where shard = 9", "system accounts of shard 9 are folded up"),
        (
            """insert into servicekit.relay_halt (topic, topic_partition, kafka_offset, shard, seq, event_id)
               values ('wallet.events', 0, 1, 0, 1, uuidv7())""",
            "the relay is halted",
        ),
    ],
)
async def test_a_partition_that_is_needed_stays(
    database: Database, fill: Fill, capsys: pytest.CaptureFixture[str], obstacle: str, reason: str
) -> None:
    await fill(40)
    await run_sql(database.dsn_admin, obstacle)

    assert await archived(database) == 0

    assert reason in " ".join(capsys.readouterr().out.split())


@pytest.mark.integration
async def test_a_changed_archived_row_is_named(database: Database, fill: Fill) -> None:
    await fill(40)
    await archived(database)
    await run_sql(
        database.dsn_admin,
        "update wallet.archived_journal set actor = 'nobody' where shard = 3 and seq = 5 returning 1",
    )

    report = await verified(database)

    assert [(finding.invariant, finding.place) for finding in report.findings] == [
        ("I12", "archived partition 0, shard 3")
    ]


@pytest.mark.integration
async def test_a_partition_moved_away_is_not_made_anew_nor_denied(
    client: Client, database: Database, fill: Fill
) -> None:
    await fill(75)
    paths = [path for path in await answers(client, database) if "transactions" in path]
    await archived(database, keep=1)
    await run_sql(database.dsn_owner, "drop table wallet.journal_0")
    await run_sql(database.dsn_app, "select wallet.ensure_journal_partitions(1)")

    told = {(await client.get(path)).status_code for path in paths}
    taken_back = {(await client.post(f"{path}/reversal", {"reason": "back"})).status_code for path in paths}

    assert {201, 503} <= taken_back <= {201, 409, 503}
    assert await run_sql(database.dsn_app, "select where to_regclass('wallet.journal_0') is null")
    assert told == {200, 503}
    assert (await verified(database)).holds


@pytest.mark.integration
async def test_the_relay_knows_what_is_archived(database: Database, fill: Fill) -> None:
    await fill(40)
    journal = SqlJournal(
        table="wallet.journal",
        types=TYPES_BY_NUMBER,
        source="/wallet",
        subject_column="account_id",
        archive="wallet.archived_journal",
    )
    positions = [(3, 5), (3, 35), (3, 99)]
    connection = await asyncpg.connect(database.dsn_app)
    before: Mapping[tuple[int, int], UUID] = await journal.event_ids(connection, positions)

    await archived(database)

    assert await journal.event_ids(connection, positions) == before
    assert before.keys() == {(3, 5), (3, 35)}
    await connection.close()


@pytest.mark.integration
async def test_nothing_is_archived_under_who_reads_the_whole_journal(database: Database) -> None:
    async with reading(database.dsn_app, application_name="test"):
        with pytest.raises(JournalBusyError):
            await archived(database)
    async with open_archiver(database.dsn_owner, FOLDING):
        with pytest.raises(JournalBusyError):
            await verified(database)


@pytest.mark.integration
async def test_the_app_role_cannot_change_the_archive(database: Database) -> None:
    for statement in (
        "update wallet.archived_journal set actor = ''",
        "insert into wallet.archive_end values (0, 1, '', 0)",
        "delete from wallet.wallet_opening",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_sql(database.dsn_app, statement)


@given(
    numbers=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=5),
    first=st.integers(0, 3),
    keep=st.integers(0, 3),
)
def test_only_what_is_behind_everybody_may_go(numbers: list[tuple[int, int, int]], first: int, keep: int) -> None:
    states = [ShardState(shard, *numbers) for shard, numbers in enumerate(numbers)]
    partition = Partition(first, first * 64, (first + 1) * 64)

    reason = why_kept(partition, states, keep=keep)

    behind_all = all(min(state[1:]) >= partition.last_seq for state in states)
    others_complete = all(state.head >= partition.last_seq + keep * 64 for state in states)
    assert (reason is None) == (behind_all and others_complete)
