"""Conditional reads: what an answer's tag stands for, and who is told that nothing changed."""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx2
import pytest

from servicekit.clock import utc_now
from servicekit.postgres import Pool
from servicekit.principal import Principal
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from transaction_history.dashboard import answers_postgres

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "openapi" / "transaction-history.json"
SPAN: Final = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
PATHS: Final[Mapping[str, str]] = {
    "list_wallet_entries": "wallets/{wallet}/entries?limit=5",
    "list_owner_entries": "owners/ann/entries",
    "list_entries": "entries?transaction_type=deposit",
    "list_transactions": "transactions?type=deposit",
    "get_transaction": "transactions/{transaction}",
    "get_balance_at": "wallets/{wallet}/balance?at=2026-06-01T00:00:00Z",
    "get_wallet_balance_series": "wallets/{wallet}/balance-series?bucket=month&{span}",
    "get_owner_balance_series": "owners/ann/balance-series?bucket=month&{span}",
    "list_history_wallets": "wallets",
    "get_history_wallet": "wallets/{wallet}",
    "list_history_holds": "wallets/{wallet}/holds",
    "list_state_changes": "wallets/{wallet}/state-changes",
    "get_owner_balances": "owners/ann/balances",
    "get_totals": "totals?{span}",
    "list_counterparties": "wallets/{wallet}/counterparties",
    "search_entries": "search?q=thing",
    "get_dashboard": "dashboard",
    "list_top_wallets": "top-wallets",
}
OF_JOBS: Final = ("/v1/history/jobs", "/v1/history/exports", "/v1/history/reports", "/v1/history/downloads")


@pytest.fixture
async def wallet(bench: ReadApi, index: Index) -> tuple[UUID, str]:
    """Have Ann be given 1.00; give her wallet, and the transaction."""
    hers = wallet_in(3)
    opened, given = bench.stream.opened(hers, owner="ann"), bench.stream.deposit(hers, owner="ann")
    await index(opened, *given)
    return hers, str(given[0].transaction_id)


def path_of(operation: str, wallet: tuple[UUID, str]) -> str:
    return PATHS[operation].format(wallet=wallet[0], transaction=wallet[1], span=SPAN)


async def tag_of(bench: ReadApi, path: str, **headers: str) -> str:
    answer = await bench.ask(path, **headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def ask_with(bench: ReadApi, path: str, tag: str) -> httpx2.Response:
    return await bench.ask(path, **{"if-none-match": tag})


async def execute(pool: Pool, statement: str, *values: object) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement, *values)


def test_every_read_is_asked() -> None:
    document = json.loads(DOCUMENT.read_text())
    reads = {
        item["get"]["operationId"]
        for path, item in document["paths"].items()
        if "get" in item and path.startswith("/v1/") and not path.startswith(OF_JOBS)
    }

    assert reads == PATHS.keys()
    assert all(
        "304" in item["get"]["responses"]
        for item in document["paths"].values()
        if "get" in item and item["get"]["operationId"] in PATHS
    )


@pytest.mark.parametrize("operation", PATHS)
async def test_who_has_the_answer_is_told_so_until_it_changes(
    bench: ReadApi, index: Index, pool: Pool, wallet: tuple[UUID, str], operation: str
) -> None:
    path = path_of(operation, wallet)
    whole = await bench.ask(path)
    tag = whole.headers["etag"]

    same = await ask_with(bench, path, f'"other", W/{tag}')
    await index(*bench.stream.deposit(wallet[0], owner="ann"))
    await execute(
        pool, "update history_jobs.cached_answer set as_of = as_of - $1::interval", answers_postgres.SERVED_FOR
    )
    changed = await ask_with(bench, path, tag)

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert same.headers["cache-control"] == whole.headers["cache-control"] == "private, no-cache"
    assert same.headers.get("ledger-position") == whole.headers.get("ledger-position")
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_a_tag_is_its_callers_own(bench: ReadApi, wallet: tuple[UUID, str]) -> None:
    owners = [None, frozenset({"ann"}), frozenset({"ann", "bob"})]
    callers = [principal_of(acts_for=each) for each in owners]

    async def asked(caller: Principal, path: str, tag: str) -> httpx2.Response:
        with bench.asked_by(caller):
            return await ask_with(bench, path, tag)

    for operation in PATHS.keys() - {"get_totals", "get_dashboard", "list_top_wallets"}:
        path = path_of(operation, wallet)
        tags = [(await asked(caller, path, '"none"')).headers["etag"] for caller in callers]
        assert len(set(tags)) == len(callers)
        for caller, own in zip(callers, tags, strict=True):
            told = [(await asked(caller, path, tag)).status_code for tag in tags]
            assert told == [304 if tag == own else 200 for tag in tags], operation


async def test_who_does_not_see_a_wallet_has_no_tag_of_it(bench: ReadApi, wallet: tuple[UUID, str]) -> None:
    path = path_of("get_history_wallet", wallet)
    tag = await tag_of(bench, path)

    with bench.asked_by(principal_of(acts_for=frozenset({"bob"}))):
        refused = await ask_with(bench, path, tag)

    assert (refused.status_code, "etag" in refused.headers) == (404, False)
    assert refused.headers["cache-control"] == "no-store"


async def test_two_requests_have_two_tags(bench: ReadApi, wallet: tuple[UUID, str]) -> None:
    path = f"wallets/{wallet[0]}/entries"

    assert len({await tag_of(bench, f"{path}{query}") for query in ("", "?limit=1", "?order=oldest")}) == 3


async def test_a_wallets_answer_stands_while_others_move(
    bench: ReadApi, index: Index, wallet: tuple[UUID, str]
) -> None:
    whole, of_tenant = path_of("get_history_wallet", wallet), path_of("list_history_wallets", wallet)
    tags = await tag_of(bench, whole), await tag_of(bench, of_tenant)
    other = wallet_in(3)

    await index(bench.stream.opened(other))

    assert (await ask_with(bench, whole, tags[0])).status_code == 304
    assert (await ask_with(bench, of_tenant, tags[1])).status_code == 200


@pytest.mark.parametrize("operation", ["list_counterparties", "get_totals", "search_entries", "list_entries"])
async def test_what_the_index_has_yet_to_see_changes_a_tag(
    bench: ReadApi, index: Index, wallet: tuple[UUID, str], operation: str
) -> None:
    more = bench.stream.deposit(wallet[0], owner="ann")
    await bench.project(*more)
    path = path_of(operation, wallet)
    tag = await tag_of(bench, path)

    await index(*more)

    assert (await ask_with(bench, path, tag)).status_code == 200


@pytest.mark.parametrize("operation", ["get_history_wallet", "list_entries"])
async def test_rows_written_anew_have_other_tags(
    bench: ReadApi, pool: Pool, wallet: tuple[UUID, str], operation: str
) -> None:
    path = path_of(operation, wallet)
    tag = await tag_of(bench, path)

    await execute(pool, "insert into history_jobs.generation values ('transaction_history', 1)")

    assert (await ask_with(bench, path, tag)).status_code == 200


@pytest.mark.parametrize("operation", ["get_history_wallet", "get_totals"])
async def test_another_schema_has_other_tags(
    bench: ReadApi, database: Database, wallet: tuple[UUID, str], operation: str
) -> None:
    path = path_of(operation, wallet)
    tag = await tag_of(bench, path)
    admin = await asyncpg.connect(database.dsn_admin)

    await admin.execute(
        """do $$ declare each record; begin
               alter schema transaction_history rename to before;
               create schema transaction_history;
               for each in select oid::regclass as name from pg_class
                   where relnamespace = 'before'::regnamespace and relkind in ('r', 'p') loop
                   execute format('alter table %s set schema transaction_history', each.name);
               end loop;
           end $$"""
    )
    await admin.execute(
        "grant usage on schema transaction_history to transaction_history_app, transaction_history_reader"
    )
    await admin.close()

    assert (await ask_with(bench, path, tag)).status_code == 200


async def test_a_wallet_that_is_parked_has_no_tag(bench: ReadApi, pool: Pool, wallet: tuple[UUID, str]) -> None:
    path, of_tenant = path_of("list_counterparties", wallet), path_of("list_entries", wallet)
    tag, tag_of_all = await tag_of(bench, path), await tag_of(bench, of_tenant)

    await execute(
        pool,
        """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
           values ('history_index', $1, 3, 99, 'broken')""",
        wallet[0],
    )

    answer = await ask_with(bench, path, tag)
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
    assert (await ask_with(bench, of_tenant, tag_of_all)).status_code == 200


async def test_what_streams_has_no_tag(bench: ReadApi, wallet: tuple[UUID, str]) -> None:
    path = f"wallets/{wallet[0]}/entries"
    tag = await tag_of(bench, path)

    streamed = await bench.ask(path, **{"if-none-match": tag, "accept": "text/csv"})

    assert (streamed.status_code, "etag" in streamed.headers) == (200, False)
    assert streamed.headers["cache-control"] == "private, no-store"


async def test_a_read_waits_for_its_position_first(bench: ReadApi, wallet: tuple[UUID, str]) -> None:
    path = path_of("get_history_wallet", wallet)
    tag = await tag_of(bench, path)

    refused = await bench.ask(path, **{"if-none-match": tag, "min-position": "3-99"})

    assert (refused.status_code, refused.json()["code"]) == (409, "position_not_reached")


async def test_what_is_over_may_be_kept_for_a_minute(bench: ReadApi, pool: Pool, wallet: tuple[UUID, str]) -> None:
    await execute(
        pool,
        """insert into servicekit.watermark (projection, shard, known_seq, known_at, covered_seq, covered_at)
           select name, shard, 0, now(), 0, now()
           from generate_series(0, 63) as shard, unnest(array['transaction_history', 'history_index']) as name
           where shard <> 3 union all
           select name, 3, 3, now(), 3, now() from unnest(array['transaction_history', 'history_index']) as name""",
    )
    tomorrow = (utc_now() + timedelta(days=1)).date().isoformat()

    async def kept(path: str) -> Any:
        answer = await bench.ask(f"{path}")
        again = await ask_with(bench, path, answer.headers["etag"])
        assert (answer.status_code, again.status_code) == (200, 304)
        assert answer.headers["cache-control"] == again.headers["cache-control"]
        assert answer.headers["vary"] == again.headers["vary"] == "Accept, Authorization"
        return answer.headers["cache-control"]

    hers = f"wallets/{wallet[0]}"
    closed = [
        f"{hers}/balance?at=2026-06-01T00:00:00Z",
        f"{hers}/balance?date=2026-06-01",
        f"{hers}/entries?to=2026-06-01T00:00:00Z",
        "entries?currency=USD&to=2026-06-01T00:00:00Z",
        "search?q=thing&to=2026-06-01T00:00:00Z",
        "totals?from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z",
    ]
    open_ = [
        f"{hers}/balance?date={tomorrow}",
        f"{hers}/entries?to={tomorrow}T00:00:00Z",
        f"{hers}/entries",
        "transactions?to=2026-06-01T00:00:00Z",
        "dashboard",
    ]
    assert [await kept(path) for path in closed] == ["private, max-age=60"] * len(closed)
    assert [await kept(path) for path in open_] == ["private, no-cache"] * len(open_)
