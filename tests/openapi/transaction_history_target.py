"""The history under test: two wallets of one owner with entries, each more than a page of one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

import httpx2
from prometheus_client import CollectorRegistry
from tests.openapi.filling import Fill, Json, Make
from tests.openapi.targets import BEHIND_PROXY, Target, project

from contracts.ids import new_id_text
from servicekit.access.admission import Authority
from servicekit.consumer.projection import Projection
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool, open_pool
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import Stream, wallet_in
from testkit.waiting import eventually
from testkit.watermarks import complete
from transaction_history import bootstrap
from transaction_history.config import HistorySettings
from transaction_history.domain.closing import FileFormat, Statement
from transaction_history.statements.commands import StatementCommands
from transaction_history.statements.queries import statement_on

OWNER: Final = "owner"
STATEMENTS: Final = "/v1/history/statements"
CLOSED: Final = datetime(2026, 2, 1, tzinfo=UTC)
EXPORTS: Final = "/v1/history/exports"
REPORTS: Final = "/v1/history/reports"
EXPORT: Final[Json] = {"dataset": "entries", "format": "csv"}
REPORT: Final[Json] = {"report": "dormant_wallets", "idle_since": "2026-06-01T00:00:00Z", "format": "csv"}
OF_EXPORT: Final = (("GET", ""), ("GET", "/file"), ("DELETE", "/links"))

SEEN: Final[Mapping[str, Make]] = {
    name: lambda value=value: value  # type: ignore[misc]  # a lambda's default has no type
    for name, value in {
        **dict.fromkeys(("from", "at", "opened_from", "idle_since"), "2026-01-01T00:00:00Z"),
        **dict.fromkeys(("to", "opened_to"), "2026-01-02T00:00:00Z"),
        **dict.fromkeys(("amount_min", "amount_max"), "1.00"),
        "currency": "USD",
        "type": "deposit,transfer",
        "state": "open",
        "version": "2",
        "date": "2026-01-01",
        "time_zone": "Europe/Berlin",
    }.items()
}


def one_moment(query: dict[str, Any]) -> None:
    """Leave one of what says when."""
    given = [name for name in ("at", "version", "date") if name in query] or ["at"]
    query.setdefault(given[0], "2026-02-01T00:00:00Z")
    for name in given[1:]:
        del query[name]


def either_way(query: dict[str, Any]) -> None:
    """Leave filters that go with an order and a total, where one is given; the path names its wallet or owner."""
    query.pop("wallet_id", None)
    query.pop("owner_id", None)
    if query.keys() & {"order", "include"}:
        for name in query.keys() & FILTERS.keys() - {"transaction_id", "from", "to"}:
            del query[name]
    with_currency(query)


def of_a_currency(query: dict[str, Any]) -> None:
    """Put a currency beside what compares amounts."""
    if query.get("by") in {"volume", "balance"}:
        query["currency"] = "USD"


def with_currency(query: dict[str, Any]) -> None:
    """Put a currency beside amounts."""
    if query.keys() & {"amount_min", "amount_max"}:
        query["currency"] = "USD"


FILTERS: Final[Mapping[str, Make]] = {
    name: lambda value=value: value  # type: ignore[misc]  # a lambda's default has no type
    for name, value in {
        **dict.fromkeys(("wallet_id", "transaction_id", "hold_id", "counterparty_wallet_id"), new_id_text()),
        **dict.fromkeys(("amount_min", "amount_max"), "1.00"),
        "type": "wallet.funds_sent.v1,wallet.funds_received.v1",
        "direction": "in",
        "currency": "USD",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
        "q": "thing currency:USD",
        **dict.fromkeys(("owner_id", "transaction_type", "counterparty_owner_id", "counterparty_account"), "any"),
        **dict.fromkeys(("reference", "metadata.<key>"), "any"),
    }.items()
}
"""An amount stands beside a currency, which the query has."""


def _settings(database: Database) -> HistorySettings:
    return HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        **BEHIND_PROXY,
    )


def fills(database: Database, http: httpx2.Client) -> Mapping[str, Fill]:
    """Have things happened to two wallets, and return what requests about them are filled with."""
    stream, payer, payee = Stream(), wallet_in(1), wallet_in(2)
    events = [
        *(stream.opened(wallet, owner=OWNER) for wallet in (payer, payee)),
        *stream.deposit(payer, 1_000),
        *stream.transfer(payer, payee),
        *stream.transfer(payee, payer),
    ]

    @asynccontextmanager
    async def projection(_pool: Pool) -> AsyncIterator[Projection]:
        yield bootstrap.make_projection(_settings(database))

    @asynccontextmanager
    async def index(_pool: Pool) -> AsyncIterator[Projection]:
        yield bootstrap.make_index_projection(_settings(database))

    project(database.dsn_app, projection, events)
    project(database.dsn_app, index, events)
    statements = _statements(database, http, payer)
    exports, jobs, reports = _files(database, http, statements())

    wallet, transaction = {"wallet_id": lambda: str(payer)}, str(events[-1].transaction_id)
    return {
        "GET /v1/history/wallets/{wallet_id}/entries": Fill(path=wallet, query=FILTERS, agree=either_way),
        "GET /v1/history/wallets/{wallet_id}/balance": Fill(path=wallet, query=SEEN, agree=one_moment),
        "GET /v1/history/wallets": Fill(query=SEEN),
        "GET /v1/history/totals": Fill(query={**SEEN, "by": lambda: "day,type"}),
        "GET /v1/history/top-wallets": Fill(query=SEEN, agree=of_a_currency),
        "GET /v1/history/wallets/{wallet_id}/counterparties": Fill(path=wallet),
        "GET /v1/history/transactions": Fill(query={**SEEN, "status": lambda: "posted,reversed"}, agree=with_currency),
        "GET /v1/history/wallets/{wallet_id}": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/holds": Fill(path=wallet, query=SEEN),
        "GET /v1/history/wallets/{wallet_id}/state-changes": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/balance-series": Fill(path=wallet, query=SEEN),
        "GET /v1/history/owners/{owner_id}/balance-series": Fill(path={"owner_id": lambda: OWNER}, query=SEEN),
        "GET /v1/history/owners/{owner_id}/balances": Fill(path={"owner_id": lambda: OWNER}),
        "GET /v1/history/owners/{owner_id}/entries": Fill(
            path={"owner_id": lambda: OWNER}, query=FILTERS, agree=either_way
        ),
        "GET /v1/history/entries": Fill(query=FILTERS, paged={"owner_id": OWNER}, agree=either_way),
        "GET /v1/history/search": Fill(query=FILTERS, paged={"q": "thing"}),
        "GET /v1/history/transactions/{transaction_id}": Fill(path={"transaction_id": lambda: transaction}),
        **_file_fills(http, exports, jobs, reports),
        **_statement_fills(payer, statements),
    }


def _file_fills(http: httpx2.Client, exports: Make, jobs: Make, reports: Make) -> Mapping[str, Fill]:
    def token() -> str:
        linked = http.post(f"{EXPORTS}/{exports()}/link", json={"expires_in_s": 3_600}, headers=_key())
        return str(linked.json()["path"]).rpartition("/")[2]

    return {
        **{
            f"{each} /v1/history/exports/{{export_id}}{rest}": Fill(path={"export_id": exports})
            for each, rest in OF_EXPORT
        },
        f"POST {EXPORTS}/{{export_id}}/link": Fill(path={"export_id": exports}, body=_for_a_minute),
        "GET /v1/history/downloads/{token}": Fill(path={"token": token}),
        "GET /v1/history/jobs/{job_id}": Fill(path={"job_id": exports}),
        "POST /v1/history/jobs/{job_id}/cancel": Fill(path={"job_id": jobs}),
        "GET /v1/history/jobs": Fill(paged={"kind": "export"}),
        "POST /v1/history/exports": Fill(body=_narrowed),
        "POST /v1/history/reports": Fill(body=_of_dormant),
        **{f"GET {REPORTS}/{{report_id}}{rest}": Fill(path={"report_id": reports}) for rest in ("", "/file")},
    }


def _statement_fills(wallet: UUID, statements: Make) -> Mapping[str, Fill]:
    seconds = count(1)

    def settings(body: Json) -> None:
        body.update({"time_zone": "Europe/Berlin", "formats": ["csv"]})

    def behind_the_last(body: Json) -> None:
        body.update({"wallet_id": str(wallet), "to": (CLOSED + timedelta(seconds=next(seconds))).isoformat()})

    one = {"statement_id": statements}
    made: Mapping[str, Make] = {"format": lambda: "csv", "volume": lambda: "1", "issue": lambda: "1"}
    owner = {"owner_id": lambda: OWNER}
    return {
        "PUT /v1/history/statement-settings": Fill(body=settings),
        "PUT /v1/history/owners/{owner_id}/statement-settings": Fill(path=owner, body=settings),
        "GET /v1/history/owners/{owner_id}/statement-settings": Fill(path=owner),
        "GET /v1/history/statements": Fill(query={**SEEN, "wallet_id": new_id_text}, paged={"owner_id": OWNER}),
        f"POST {STATEMENTS}": Fill(body=behind_the_last),
        f"GET {STATEMENTS}/{{statement_id}}": Fill(path=one),
        f"GET {STATEMENTS}/{{statement_id}}/file": Fill(path=one, query=made),
        f"POST {STATEMENTS}/{{statement_id}}/reissue": Fill(path=one),
    }


def _statements(database: Database, http: httpx2.Client, wallet: UUID) -> Make:
    """Return what gives a statement whose table is asked for; there are two."""

    async def settle() -> None:
        async with await open_pool(_settings(database).worker.pool) as pool, pool.connection() as connection:
            await complete(connection)

    asyncio.run(settle())
    ids = []
    for ends in (CLOSED - timedelta(days=1), CLOSED):
        body = {"wallet_id": str(wallet), "to": ends.isoformat()}
        ids.append(str(http.post(STATEMENTS, json=body, headers=_key()).json()["id"]))
    return lambda: ids[0]


def _key() -> dict[str, str]:
    return {"Idempotency-Key": new_id_text()}


def _narrowed(body: Json) -> None:
    """Leave what any dataset takes."""
    body.update({"columns": [], "time_zone": "UTC", "gzip": False})
    if isinstance(body.get("filters"), dict):
        body["filters"] = {"owner_id": [OWNER]}


def _of_dormant(body: Json) -> None:
    """Leave a report that there is, with the times it takes."""
    body.clear()
    body.update(REPORT)


def _for_a_minute(body: Json) -> None:
    """Leave no number that is whole and yet none of JSON's integers here, such as 60.0."""
    body["expires_in_s"] = 60


def _files(database: Database, http: httpx2.Client, statement: str) -> tuple[Make, Make, Make]:
    """Return what gives an export with a file, what asks for another, and a report with a file.

    Have a *statement* made a table.
    """

    def ask() -> str:
        asked = http.post(EXPORTS, json=EXPORT, headers=_key())
        return str(asked.json().get("id", new_id_text()))  # there may be as many as there may be

    made = [ask() for _ in range(2)]
    reported = str(http.post(REPORTS, json=REPORT, headers=_key()).json()["id"])

    async def work() -> None:
        telemetry = Telemetry("transaction_history", "worker", "1", CollectorRegistry(), Tracing("test", 0.0))
        shutdown, settings = Shutdown(), _settings(database)
        async with (
            await open_pool(settings.worker.pool) as pool,
            bootstrap.open_worker(settings, telemetry, pool) as worker,
        ):
            await _ask_table(pool, UUID(statement))
            working = asyncio.create_task(worker.run(shutdown))

            async def is_made() -> bool:
                paths = (f"{EXPORTS}/{made[0]}", f"{REPORTS}/{reported}")
                files = http.get(f"{STATEMENTS}/{statement}").json()["files"]
                told = [*(http.get(path).json()["status"] for path in paths), *(file["status"] for file in files)]
                return told == ["succeeded"] * 3

            await eventually(is_made)
            shutdown.request()
            await working

    asyncio.run(work())
    return lambda: made[0], ask, lambda: reported


async def _ask_table(pool: Pool, statement_id: UUID) -> None:
    async with pool.transaction() as tx:
        found = await statement_on(tx.connection, principal_of(), statement_id)
        assert isinstance(found, Statement)
        assert await StatementCommands().ask_file(tx, found, 1, FileFormat.CSV, 1)


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    return bootstrap.open_api(_settings(database), telemetry, authority=authority)


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
