"""What drift finds: every planted wrong row by its table and column, and nothing where nothing is wrong."""

from datetime import timedelta

import asyncpg
import msgspec
import pytest

from contracts import events
from contracts.envelope import Envelope
from contracts.ids import new_id
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import Stream, received, wallet_in
from testkit.read_api import ReadApi
from transaction_history.domain.drift import CONTRADICTION, MISSING, UNEXPECTED
from transaction_history.domain.rows import EntryRow
from transaction_history.maintenance.comparing import Compared, LedgerComparing
from transaction_history.projection.columns import columns_of

pytestmark = pytest.mark.integration

OURS, THEIRS = wallet_in(3), wallet_in(4)


def life(stream: Stream) -> list[Envelope]:
    """Return what happens to two wallets: everything that makes rows."""
    told = [stream.opened(OURS), stream.opened(THEIRS), *stream.deposit(OURS, 1_000), *stream.deposit(OURS, 500)]
    told += [*stream.transfer(OURS, THEIRS, 30), *stream.held(OURS, THEIRS), stream.fee(OURS, 2)]
    paid, refund = told[6].transaction_id, new_id()
    assert paid is not None
    told += [
        stream.returned(events.REFUND_SENT, THEIRS, -5, of=paid, entry=(refund, 0), refund=(5, 30)),
        stream.returned(events.REFUND_RECEIVED, OURS, 5, of=paid, entry=(refund, 1)),
        stream.restricted(OURS),
        *stream.terms(OURS),
        stream.restricted(OURS, lifted=True),
        *stream.deposit(OURS, 7),
    ]
    return told


async def compared(pool: Pool, told: list[Envelope], *, run: int = 1_000) -> list[Compared]:
    """Compare *told* in runs of so many."""
    comparing = LedgerComparing()
    async with pool.connection() as connection:
        return [
            await comparing.compare(connection, [received(event, event.sequence) for event in told[at : at + run]])
            for at in range(0, len(told), run)
        ]


async def found(pool: Pool, told: list[Envelope], *, run: int = 1_000) -> set[tuple[str, str]]:
    return {(each.table, each.column) for part in await compared(pool, told, run=run) for each in part.differences}


@pytest.mark.parametrize("run", [1, 2, 5, 1_000])
async def test_what_was_projected_from_the_events_is_what_they_say(bench: ReadApi, pool: Pool, run: int) -> None:
    told = life(bench.stream)
    await bench.project(*told)

    parts = await compared(pool, told, run=run)

    assert [part.differences for part in parts if part.differences] == []
    assert sum(part.events for part in parts) == len(told)


PLANTED = {
    "update {s}.entry set amount_minor = amount_minor + 1 where transaction_type = 'deposit' and amount_minor = 500": (
        "entry",
        "amount_minor",
    ),
    "delete from {s}.entry where amount_minor = 500": ("entry", MISSING),
    "update {s}.entry set credits_after = credits_after + 1 where amount_minor = 500": ("entry", "credits_after"),
    "update {s}.entry set occurred_at = occurred_at - interval '1 ms' where amount_minor = 500": (
        "entry",
        "occurred_at",
    ),
    "delete from {s}.system_entry": ("system_entry", MISSING),
    "update {s}.system_entry set account = 'external:EUR'": ("system_entry", "account"),
    "update {s}.state_change set scope = 'all' where scope = 'debits'": ("state_change", "scope"),
    "update {s}.wallet set posted_minor = posted_minor + 1": ("wallet", "posted_minor"),
    "update {s}.wallet set restrictions = '[1]'": ("wallet", "restrictions"),
    "update {s}.wallet set status = 'closed'": ("wallet", "status"),
    "update {s}.wallet set overdraft_limit_minor = 1": ("wallet", "overdraft_limit_minor"),
    "update {s}.wallet set version = version + 1": ("wallet", "version"),
    "update {s}.wallet set first_entry_at = opened_at": ("wallet", "first_entry_at"),
    "update {s}.wallet set opened_at = opened_at - interval '1 s'": ("wallet", "opened_at"),
    "delete from {s}.wallet": ("wallet", MISSING),
    "update {s}.transaction set refunded_minor = refundable_minor where refunded_minor > 0": (
        "transaction",
        "refunded_minor",
    ),
    "update {s}.transaction set reversed_by = transaction_id where refunded_minor > 0": ("transaction", "reversed_by"),
    "update {s}.transaction set entries_seen = 1 where type = 'capture'": ("transaction", "entries_seen"),
    "update {s}.transaction set amounts = '{{\"USD\": 1}}' where type = 'transfer'": ("transaction", "amounts"),
    "update {s}.transaction set refunds = '{{}}'": ("transaction", "refunds"),
    "delete from {s}.transaction where type = 'deposit'": ("transaction", MISSING),
    "update {s}.hold set captured_minor = captured_minor + 1": ("hold", "captured_minor"),
    "update {s}.hold set status = 'open'": ("hold", "status"),
    "update {s}.hold set transactions = '{{}}'": ("hold", "transactions"),
    "update {s}.hold set version = version + 1": ("hold", "version"),
    "update {s}.hold set placed_at = placed_at - interval '1 s'": ("hold", "placed_at"),
    "delete from {s}.hold": ("hold", MISSING),
    "update {s}.balance_day set posted_minor = posted_minor + 1": ("balance_day", "posted_minor"),
    "delete from {s}.balance_day": ("balance_day", MISSING),
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_planted_wrong_row_is_named(bench: ReadApi, pool: Pool, database: Database, planted: str) -> None:
    told = life(bench.stream)
    await bench.project(*told)
    await plant(database, planted)

    assert PLANTED[planted] in await found(pool, told)
    assert PLANTED[planted] in await found(pool, told, run=1)


async def test_a_row_that_no_event_made_is_named(bench: ReadApi, pool: Pool, database: Database) -> None:
    told = life(bench.stream)
    await bench.project(*told)
    columns = ", ".join(columns_of(EntryRow)).replace("version", "1")
    await plant(database, f"insert into {{s}}.entry select {columns} from {{s}}.entry where amount_minor = 500")
    await plant(
        database,
        "insert into {s}.balance_day select wallet_id, day - 1, tenant_id, owner_id, shard, currency, version,"
        " posted_minor, held_minor, entries, credits_total, debits_total, fees_total from {s}.balance_day",
    )
    days_before = msgspec.structs.replace(told[2], time=told[2].time - timedelta(days=1))

    assert {("entry", UNEXPECTED), ("transaction", "entries_seen")} <= await found(pool, told)
    assert ("balance_day", UNEXPECTED) in await found(pool, [told[0], days_before, *told[3:]])


async def plant(database: Database, statement: str) -> None:
    owner = await asyncpg.connect(database.dsn_owner)
    try:
        assert await owner.execute(statement.format(s="transaction_history")) not in {"UPDATE 0", "DELETE 0"}
    finally:
        await owner.close()


async def test_a_wrong_running_total_is_named_where_it_is_and_where_the_next_row_leaves_it(
    bench: ReadApi, pool: Pool, database: Database
) -> None:
    told = [bench.stream.opened(OURS), *(bench.stream.deposited(OURS) for _ in range(20))]
    await bench.project(*told)
    await plant(database, "update {s}.entry set credits_after = credits_after + 1 where version = 10")

    (part,) = await compared(pool, told)

    assert [(each.shard, each.seq, each.table, each.column) for each in part.differences] == [
        (3, 10, "entry", "credits_after"),
        (3, 11, "entry", "credits_after"),
    ]


async def test_what_is_not_projected_yet_or_parked_is_not_compared(bench: ReadApi, pool: Pool) -> None:
    told = life(bench.stream)
    unread = bench.stream.event(events.FUNDS_DEPOSITED, OURS, b"{}", entry=(new_id(), 0))
    await bench.project(*told, unread)
    behind = bench.stream.deposited(THEIRS)

    (part,) = await compared(pool, [*told, unread, behind])

    assert part.differences == []
    assert part.events == sum(event.subject == THEIRS for event in told)
    assert part.skipped == len(told) + 2 - part.events


async def test_an_event_that_contradicts_the_one_before_is_named(bench: ReadApi, pool: Pool) -> None:
    told = [bench.stream.opened(OURS), *(bench.stream.deposited(OURS) for _ in range(3))]
    await bench.project(*told)
    opened = msgspec.structs.replace(Stream().opened(OURS), wallet_version=3, sequence=3)

    assert await found(pool, [*told[:2], opened, told[3]]) == {("wallet", CONTRADICTION), ("entry", UNEXPECTED)}
