"""A tenant at a glance: what it shows, that it is made once, and that workers make it anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts import canary
from contracts.envelope import Envelope
from servicekit.clock import utc_now
from servicekit.failures import Unavailable
from servicekit.maintenance import JobRun
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.principal import Principal
from servicekit.telemetry import Telemetry, Tracing
from servicekit.tenant_pool import TenantPool
from testkit.access import TENANT, principal_of
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from transaction_history import bootstrap
from transaction_history.config import HistorySettings
from transaction_history.dashboard import answers_postgres, ledger_figures
from transaction_history.dashboard.ledger_figures import LedgerFigures
from transaction_history.dashboard.refreshing import dashboard_jobs
from transaction_history.domain.dashboard import (
    DashboardAsked,
    Window,
)
from transaction_history.reads import figures

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
Refresh = Callable[[], Awaitable[int]]
OTHER = UUID("00000000-0000-7000-8000-000000000002")


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def minutes_ago(count: int, *events: Envelope) -> list[Envelope]:
    """Return *events* as of *count* minutes ago."""
    return [msgspec.structs.replace(event, time=utc_now() - timedelta(minutes=count)) for event in events]


@pytest.fixture
async def wallets(bench: ReadApi, index: Index) -> tuple[UUID, UUID, UUID]:
    """Have Ann be given 10.00 five minutes ago, and pay Bob 1.00 and 2.00 later; the third wallet is closed."""
    anns, bobs, third, stream = wallet_in(3), wallet_in(4), wallet_in(5), bench.stream
    opened = [stream.opened(wallet, owner=owner) for wallet, owner in ((anns, "ann"), (bobs, "bob"), (third, "cem"))]
    given_ = stream.deposit(anns, 1_000, owner="ann")
    paid = [
        *stream.transfer(anns, bobs, 100, owners=("ann", "bob")),
        *stream.transfer(anns, bobs, 200, owners=("ann", "bob")),
    ]
    await index(*minutes_ago(5, *opened, *given_), *minutes_ago(3, *paid, stream.closed(third)))
    return anns, bobs, third


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[TenantPool]:
    """Give what reads of one tenant at a time."""
    async with await open_pool(PoolSettings(dsn=database.dsn_reader, application_name="test")) as opened:
        yield TenantPool(opened)


@pytest.fixture
def refresh(pool: Pool, reader: TenantPool) -> Refresh:
    """Give what makes one answer anew, as a worker does; it returns how many there were to be made."""
    job = dashboard_jobs(reader, LedgerFigures(CollectorRegistry()))[0]

    async def run() -> int:
        async with pool.connection() as connection:
            return await job.run(JobRun(connection, None))

    return run


async def execute(pool: Pool, statement: str, *values: object) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement, *values)


async def kept(pool: Pool) -> list[Any]:
    async with pool.connection() as connection:
        return list(await connection.fetch("select * from history_jobs.cached_answer order by tenant_id, question"))


AGED = "update history_jobs.cached_answer set as_of = as_of - $1::interval"


async def test_a_dashboard_shows_a_tenant(bench: ReadApi, wallets: tuple[UUID, UUID, UUID]) -> None:
    anns, bobs, _ = wallets

    shown = {window: await bench.get(f"dashboard?window={window}") for window in ("1h", "24h", "7d", "30d")}

    for found in shown.values():
        by_type = {row["type"]: row for row in found["volumes"]}
        assert (by_type["transfer"]["transactions"], by_type["transfer"]["entries"]) == (2, 4)
        assert by_type["transfer"]["volume"] == usd("3.00")
        assert (by_type["deposit"]["credits"], by_type["deposit"]["debits"]) == (usd("10.00"), usd("0.00"))
        assert found["wallets"] == [
            {"currency": "USD", "status": "open", "wallets": 2},
            {"currency": "USD", "status": "closed", "wallets": 1},
        ]
        (balance,) = found["balances"]
        assert (balance["wallets"], balance["total"], balance["average"]) == (2, usd("10.00"), usd("5.00"))
        assert found["new_wallets"] == [{"currency": "USD", "wallets": 3}]
        assert [minute["transactions"] for minute in found["by_minute"]] == [1, 2]
        assert [(row["wallet_id"], row["entries"]) for row in found["most_active"]] == [(str(anns), 3), (str(bobs), 2)]
        assert found["complete"]
        assert (found["complete_until"], found["parked"]["count"]) == (None, 0)
    assert shown["1h"]["now"]["transactions"] == 0


async def test_the_first_wallets_are_ranked(bench: ReadApi, wallets: tuple[UUID, UUID, UUID]) -> None:
    anns, bobs, third = wallets

    by_entries = await bench.get("top-wallets?limit=1")
    by_volume = await bench.get("top-wallets?by=volume&currency=USD&window=30d")
    by_balance = await bench.get("top-wallets?by=balance&currency=USD&window=1h")
    of_others = await bench.get("top-wallets?by=volume&currency=EUR")

    assert [row["wallet_id"] for row in by_entries["data"]] == [str(anns)]
    assert [(row["wallet_id"], row["volume"]) for row in by_volume["data"]] == [
        (str(anns), usd("13.00")),
        (str(bobs), usd("3.00")),
    ]
    assert [(row["wallet_id"], row["balance"], row["entries"]) for row in by_balance["data"]] == [
        (str(anns), usd("7.00"), 3),
        (str(bobs), usd("3.00"), 2),
        (str(third), usd("0.00"), 0),
    ]
    assert of_others["data"] == []


@pytest.mark.usefixtures("wallets")
async def test_what_is_cut_off_is_told(bench: ReadApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LOOKED_AT_MAX", 1)

    assert not (await bench.get("dashboard"))["complete"]
    assert not (await bench.get("top-wallets?by=balance&currency=USD"))["complete"]
    ranked = await bench.get("top-wallets")
    assert not ranked["complete"]
    assert len(ranked["data"]) == 1


async def test_a_parked_wallet_is_not_ranked_and_told(
    bench: ReadApi, pool: Pool, wallets: tuple[UUID, UUID, UUID]
) -> None:
    anns, bobs, _ = wallets
    await execute(
        pool,
        """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
           values ('transaction_history', $1, 3, 99, 'broken')""",
        anns,
    )

    found = await bench.get("top-wallets")

    assert [row["wallet_id"] for row in found["data"]] == [str(bobs)]
    assert found["parked"] == {"count": 1, "wallet_ids": [str(anns)]}


async def test_another_tenant_has_a_dashboard_of_its_own(bench: ReadApi, wallets: tuple[UUID, UUID, UUID]) -> None:
    assert wallets
    await bench.get("dashboard")
    with bench.asked_by(principal_of(tenant_id=OTHER)):
        others = await bench.get("dashboard")

    assert (others["volumes"], others["wallets"], others["most_active"]) == ([], [], [])


@pytest.mark.parametrize("path", ["dashboard", "top-wallets"])
async def test_it_is_of_every_owner(bench: ReadApi, path: str) -> None:
    with bench.asked_by(principal_of(acts_for=frozenset({"ann"}))):
        assert (await bench.get(path, 403))["code"] == "forbidden"


@pytest.mark.parametrize(
    "query",
    [
        "dashboard?window=2h",
        "dashboard?limit=3",
        "top-wallets?by=name",
        "top-wallets?by=volume",
        "top-wallets?by=balance",
        "top-wallets?currency=XXX",
        "top-wallets?limit=0",
        "top-wallets?limit=201",
        "top-wallets?window=1h&window=1h",
    ],
)
async def test_what_is_asked_badly_is_refused_and_kept_nowhere(bench: ReadApi, pool: Pool, query: str) -> None:
    assert (await bench.get(query, 400))["code"] == "invalid_query"
    assert await kept(pool) == []


async def test_an_answer_is_kept_and_tells_its_age(bench: ReadApi, pool: Pool, index: Index) -> None:
    before = await bench.ask("top-wallets")
    wallet = wallet_in(7)
    opened = bench.stream.opened(wallet)
    await index(*minutes_ago(1, opened, *bench.stream.deposit(wallet)))
    await execute(pool, AGED, timedelta(seconds=50))

    kept_for_a_while = await bench.ask("top-wallets")
    await execute(pool, AGED, answers_postgres.SERVED_FOR)
    afterwards = await bench.ask("top-wallets")

    assert before.headers["age"] == "0"
    assert int(kept_for_a_while.headers["age"]) >= 50
    assert kept_for_a_while.json()["data"] == []
    assert [row["wallet_id"] for row in afterwards.json()["data"]] == [str(wallet)]


async def test_one_makes_it_and_the_others_wait(
    bench: ReadApi, monkeypatch: pytest.MonkeyPatch, wallets: tuple[UUID, UUID, UUID]
) -> None:
    made, real = [], figures.answer_to

    async def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return await real(*arguments)

    monkeypatch.setattr("transaction_history.dashboard.answers.answer_to", counted)

    found = await asyncio.gather(*[bench.get("top-wallets") for _ in range(8)])

    assert len(made) == 1
    assert all(answer == found[0] for answer in found)
    assert len(found[0]["data"]) == len(wallets) - 1


async def test_who_waits_in_vain_is_told_so(bench: ReadApi, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transaction_history.dashboard.answers.WAIT_S", 0.2)
    await bench.get("dashboard")
    taken = """update history_jobs.cached_answer
               set as_of = null, answer = null, token = tenant_id, taken_until = now() + interval '1 hour'"""
    await execute(pool, taken)

    refused = await bench.ask("dashboard")

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert "retry-after" in refused.headers


async def test_what_could_not_be_made_is_made_by_the_next(
    bench: ReadApi, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise Unavailable("The database went away.")

    with monkeypatch.context() as patched:
        patched.setattr("transaction_history.dashboard.answers.answer_to", broken)
        await bench.get("dashboard", 503)

    assert [row["token"] for row in await kept(pool)] == [None]
    assert (await bench.get("dashboard"))["volumes"] == []


async def test_workers_make_anew_what_somebody_asks(bench: ReadApi, pool: Pool, index: Index, refresh: Refresh) -> None:
    await bench.get("top-wallets")
    assert await refresh() == 0, "it is young"
    wallet = wallet_in(7)
    opened = bench.stream.opened(wallet)
    await index(*minutes_ago(1, opened, *bench.stream.deposit(wallet)))
    await execute(pool, AGED, answers_postgres.REFRESHED_EVERY)

    assert await refresh() == 1
    assert await refresh() == 0
    found = await bench.ask("top-wallets")

    assert [row["wallet_id"] for row in found.json()["data"]] == [str(wallet)]
    assert found.headers["age"] == "0"


async def test_a_worker_comes_to_it_by_itself(
    bench: ReadApi, pool: Pool, database: Database, tmp_path: Path, wallets: tuple[UUID, UUID, UUID]
) -> None:
    assert wallets
    await bench.get("dashboard")
    await execute(pool, AGED, timedelta(hours=1))
    (old,) = await kept(pool)
    registry = CollectorRegistry()

    async def is_done() -> bool:
        open_wallets = registry.get_sample_value("ledger_wallets", {"currency": "USD", "status": "open"})
        return open_wallets == 2 and bool((await kept(pool))[0]["as_of"] > old["as_of"])

    telemetry = Telemetry("transaction_history", "worker", "1", registry, Tracing("test", 0.0))
    settings = HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        transaction_history_objects_url=str(tmp_path),
    )
    async with bootstrap.open_worker(settings, telemetry, pool):
        await eventually(is_done)


async def test_workers_leave_alone_what_nobody_asks_and_what_costs_much(
    bench: ReadApi, pool: Pool, refresh: Refresh
) -> None:
    await bench.get("dashboard")
    await execute(pool, AGED, timedelta(seconds=30))
    await execute(pool, "update history_jobs.cached_answer set took_ms = 5000")
    assert await refresh() == 0, "it took 5 s, and is made every 100"

    await execute(pool, "update history_jobs.cached_answer set took_ms = 1000")
    await execute(pool, "update history_jobs.cached_answer set asked_at = now() - $1::interval", timedelta(hours=1))
    assert await refresh() == 0, "nobody has asked for an hour"

    await bench.get("dashboard")
    assert await refresh() == 1, "somebody has"


async def test_who_lost_an_answer_writes_nothing(pool: Pool) -> None:
    asked, principal = DashboardAsked(Window.HOUR), principal_of()
    async with pool.transaction() as tx:
        first = await answers_postgres.take(tx, principal.tenant_id, asked)
        assert await answers_postgres.take(tx, principal.tenant_id, asked) is None
    await execute(pool, "update history_jobs.cached_answer set taken_until = now() - interval '1 s'")
    async with pool.transaction() as tx:
        second = await answers_postgres.take(tx, principal.tenant_id, asked)
    assert first is not None
    assert second is not None

    async with pool.connection() as connection:
        answer = await figures.answer_to(connection, TENANT, asked)
        await answers_postgres.store(connection, first, answer, took_ms=1)
        assert (await kept(pool))[0]["answer"] is None
        await answers_postgres.store(connection, second, answer, took_ms=1)

    assert (await kept(pool))[0]["as_of"] == answer.told.as_of


async def test_a_tenant_has_so_many_answers_and_old_ones_are_forgotten(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_postgres, "QUESTIONS_MAX", 2)
    for principal in (principal_of(), principal_of(), principal_of(tenant_id=OTHER)):
        await _taken(pool, principal, *Window)

    of_tenants = [row["tenant_id"] for row in await kept(pool)]
    assert of_tenants == [TENANT, TENANT, OTHER, OTHER]
    await execute(
        pool,
        "update history_jobs.cached_answer set asked_at = now() - $1::interval where tenant_id = $2",
        answers_postgres.KEPT_FOR,
        OTHER,
    )
    async with pool.transaction() as tx:
        assert await answers_postgres.forget(tx) == 2
    assert len(await kept(pool)) == 2


async def _taken(pool: Pool, principal: Principal, *windows: Window) -> None:
    for window in windows:
        async with pool.transaction() as tx:
            await answers_postgres.take(tx, principal.tenant_id, DashboardAsked(window))


async def test_the_ledgers_figures_are_told_while_they_are_young_and_leave_the_canarys_out(
    pool: Pool,
    bench: ReadApi,
    index: Index,
    wallets: tuple[UUID, UUID, UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert wallets
    own = wallet_in(6)
    day = [bench.stream.opened(own, owner="probe"), *bench.stream.deposit(own, 7_700, owner="probe")]
    await index(*(msgspec.structs.replace(event, tenant_id=canary.TENANT_ID) for event in minutes_ago(4, *day)))
    registry = CollectorRegistry()
    measured, value = LedgerFigures(registry), registry.get_sample_value
    assert value("ledger_wallets", {"currency": "USD", "status": "open"}) is None
    async with pool.connection() as connection:
        for _ in range(2):
            await measured.measure(JobRun(connection, None))

    assert value("ledger_wallets", {"currency": "USD", "status": "open"}) == 2
    assert value("ledger_wallets", {"currency": "USD", "status": "closed"}) == 1
    assert value("ledger_customer_funds", {"currency": "USD"}) == 10
    assert value("ledger_volume_total", {"type": "transfer", "currency": "USD"}) == 3
    assert value("ledger_volume_total", {"type": "deposit", "currency": "USD"}) == 10
    monkeypatch.setattr(ledger_figures, "monotonic_s", lambda: float("inf"))
    assert value("ledger_customer_funds", {"currency": "USD"}) is None
