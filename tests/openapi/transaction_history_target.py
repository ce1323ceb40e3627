"""The history under test: two wallets of one owner with entries, each more than a page of one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from tests.openapi.filling import Fill, Make
from tests.openapi.targets import BEHIND_PROXY, Target, project

from servicekit.access.admission import Authority
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.events import Stream, wallet_in
from transaction_history import bootstrap
from transaction_history.config import HistorySettings

OWNER: Final = "owner"

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


def with_currency(query: dict[str, Any]) -> None:
    """Put a currency beside amounts."""
    if query.keys() & {"amount_min", "amount_max"}:
        query["currency"] = "USD"


def _settings(database: Database) -> HistorySettings:
    return HistorySettings(
        transaction_history_database_url=database.dsn_app,
        transaction_history_reader_database_url=database.dsn_reader,
        **BEHIND_PROXY,
    )


def fills(database: Database, _http: httpx2.Client) -> Mapping[str, Fill]:
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

    project(database.dsn_app, projection, events)
    wallet, transaction = {"wallet_id": lambda: str(payer)}, str(events[-1].transaction_id)
    return {
        "GET /v1/history/wallets/{wallet_id}/entries": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/balance": Fill(path=wallet, query=SEEN, agree=one_moment),
        "GET /v1/history/wallets": Fill(query=SEEN),
        "GET /v1/history/transactions": Fill(query={**SEEN, "status": lambda: "posted,reversed"}, agree=with_currency),
        "GET /v1/history/wallets/{wallet_id}": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/holds": Fill(path=wallet, query=SEEN),
        "GET /v1/history/wallets/{wallet_id}/state-changes": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/balance-series": Fill(path=wallet, query=SEEN),
        "GET /v1/history/owners/{owner_id}/balance-series": Fill(path={"owner_id": lambda: OWNER}, query=SEEN),
        "GET /v1/history/owners/{owner_id}/balances": Fill(path={"owner_id": lambda: OWNER}),
        "GET /v1/history/owners/{owner_id}/entries": Fill(path={"owner_id": lambda: OWNER}),
        "GET /v1/history/entries": Fill(paged={"owner_id": OWNER}),
        "GET /v1/history/transactions/{transaction_id}": Fill(path={"transaction_id": lambda: transaction}),
    }


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    return bootstrap.open_api(_settings(database), telemetry, authority=authority)


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
