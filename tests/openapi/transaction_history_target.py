"""The history under test: two wallets of one owner with entries, each more than a page of one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from tests.openapi.filling import Fill, Make
from tests.openapi.targets import BEHIND_PROXY, Target, project

from contracts.ids import new_id_text
from servicekit.access.admission import Authority
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.events import Stream, wallet_in
from transaction_history import bootstrap
from transaction_history.config import HistorySettings

OWNER: Final = "owner"
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

    @asynccontextmanager
    async def index(_pool: Pool) -> AsyncIterator[Projection]:
        yield bootstrap.make_index_projection(_settings(database))

    project(database.dsn_app, projection, events)
    project(database.dsn_app, index, events)
    wallet, transaction = {"wallet_id": lambda: str(payer)}, str(events[-1].transaction_id)
    return {
        "GET /v1/history/wallets/{wallet_id}/entries": Fill(path=wallet),
        "GET /v1/history/wallets/{wallet_id}/balance": Fill(path=wallet),
        "GET /v1/history/owners/{owner_id}/entries": Fill(path={"owner_id": lambda: OWNER}),
        "GET /v1/history/entries": Fill(paged={"owner_id": OWNER}),
        "GET /v1/history/search": Fill(query=FILTERS, paged={"q": "thing"}),
        "GET /v1/history/transactions/{transaction_id}": Fill(path={"transaction_id": lambda: transaction}),
    }


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    return bootstrap.open_api(_settings(database), telemetry, authority=authority)


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
