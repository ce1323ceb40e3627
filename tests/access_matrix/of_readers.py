"""Requests to the services that are only asked: the history and fraud, of two tenants' wallets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import msgspec
from tests.access_matrix.callers import OTHER_OWNER, OURS, OWNER, THEIRS, Home
from tests.access_matrix.expecting import OWNER_IN_BODY
from tests.access_matrix.recipes import Recipe, Recipes, Setup, about_nothing, listed, made_first, whatever
from tests.openapi.fraud_target import RULES, TRANSFERS
from tests.openapi.targets import project

import fraud.bootstrap
import transaction_history.bootstrap
from contracts.envelope import Envelope
from fraud.config import MILLENNIUM_S, FraudSettings
from servicekit.access.admission import EACH_ROW
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool, PoolSettings, open_pool
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import Stream, wallet_in
from testkit.watermarks import complete
from transaction_history.config import HistorySettings
from transaction_history.domain.exports import ExportFilters, ExportRequest, Format, request_text
from transaction_history.domain.jobs import Kind
from transaction_history.domain.reports import Report, ReportRequest, report_text
from transaction_history.jobs.commands import JobCommands
from transaction_history.jobs.queue_postgres import JobQueue
from transaction_history.jobs.rows import Job, JobFile
from transaction_history.statements.commands import StatementCommands
from transaction_history.statements.queries import Told

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
MISSING: Final = "wallet_not_found"
PAYERS_MINOR: Final = 73_195_000
PAYEES_MINOR: Final = 86_425_000
"""Nothing else is of so much: who is shown a balance is shown its first digits."""

OURS_HAS: Final = '"731959.90"'
"""What all of the owner's wallets have together when everything has happened."""
_MADE: Final = """
    insert into history_jobs.statement_file
        (statement_id, issue, format, volume, tenant_id, status, due_at, object, size_bytes, sha256)
    values ($1, 1, 'csv', 1, $2, 'succeeded', now(), 'none', 0, decode(repeat('00', 32), 'hex'))"""
YEAR_BY_MONTH: Final = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "bucket": "month"}
EXPORT: Final = ExportRequest(
    dataset="entries", filters=ExportFilters(), columns=("id",), format=Format.CSV, time_zone="UTC", gzip=False
)
REPORT: Final = ReportRequest(
    report=Report.FEES, since=EPOCH, until=EPOCH, format=Format.CSV, time_zone="UTC", gzip=False
)


def of_tenant(tenant_id: UUID, *events: Envelope) -> list[Envelope]:
    """Return *events* as of a tenant's wallets."""
    return [msgspec.structs.replace(event, tenant_id=tenant_id) for event in events]


def history_recipes(_setup: Setup, database: Database) -> Recipes:
    """Have things happened to wallets, and return how each operation is asked for."""
    stream, ours, others, theirs = Stream(), wallet_in(1), wallet_in(2), wallet_in(3)
    opened, paid = stream.opened(ours, owner=OWNER), stream.deposit(ours, 1_000, owner=OWNER)
    events = [
        *of_tenant(OURS, opened, *paid, stream.opened(others, owner=OTHER_OWNER)),
        *of_tenant(OURS, *stream.deposit(ours, PAYERS_MINOR, owner=OWNER)),
        *of_tenant(OURS, *stream.deposit(others, PAYEES_MINOR, owner=OTHER_OWNER)),
        *of_tenant(OURS, *stream.transfer(ours, others, owners=(OWNER, OTHER_OWNER))),
        *of_tenant(THEIRS, stream.opened(theirs, owner=OWNER), *stream.deposit(theirs, 1_000, owner=OWNER)),
    ]
    _project(database, events)
    wallet = Recipe(fresh=lambda: str(ours), missing=MISSING)
    entries = Recipe(fresh=lambda: OWNER, mark=lambda _: str(ours))
    of_owner = Recipe(fresh=lambda: OWNER, mark=lambda _: OURS_HAS, owned=EACH_ROW)
    return {
        "list_wallet_entries": [wallet],
        "get_history_wallet": [wallet],
        "list_history_holds": [wallet],
        "list_state_changes": [wallet],
        "get_wallet_balance_series": [replace(wallet, params=lambda _: YEAR_BY_MONTH)],
        "get_owner_balance_series": [replace(of_owner, params=lambda _: YEAR_BY_MONTH)],
        "get_owner_balances": [of_owner],
        "list_counterparties": [wallet],
        "get_totals": [
            replace(about_nothing(), params=lambda _: {name: YEAR_BY_MONTH[name] for name in ("from", "to")})
        ],
        "get_dashboard": [about_nothing()],
        "list_top_wallets": [about_nothing()],
        "list_history_wallets": [listed(lambda: str(ours))],
        "list_transactions": [listed(lambda: str(paid[0].transaction_id))],
        "get_balance_at": [replace(wallet, params=lambda _: {"at": "2026-02-01T00:00:00Z"})],
        "get_transaction": [Recipe(fresh=lambda: str(paid[0].transaction_id), missing="transaction_not_found")],
        # To whom an owner is nobody, it has no entries.
        "list_owner_entries": [replace(entries, owned=EACH_ROW)],
        "list_entries": [replace(entries, params=lambda owner: {"owner_id": owner})],
        **_export_recipes(_files(database, Kind.EXPORT, request_text(EXPORT))),
        **_report_recipes(_files(database, Kind.REPORT, report_text(REPORT))),
        **_statement_recipes(ours, _statement(database, ours)),
        # The other side of a transfer tells the wallet's id too, and not whose it is.
        "search_entries": [
            replace(
                entries,
                params=lambda _: {"q": "thing", "limit": "200"},
                mark=lambda _: f'"wallet_id":"{ours}","owner_id":"{OWNER}"',
            )
        ],
    }


def _project(database: Database, events: list[Envelope]) -> None:
    """Feed *events* to both projections of the history."""
    settings = HistorySettings(
        transaction_history_database_url=database.dsn_app, transaction_history_reader_database_url=database.dsn_reader
    )

    @asynccontextmanager
    async def projection(_pool: Pool) -> AsyncIterator[Projection]:
        yield transaction_history.bootstrap.make_projection(settings)

    @asynccontextmanager
    async def index(_pool: Pool) -> AsyncIterator[Projection]:
        yield transaction_history.bootstrap.make_index_projection(settings)

    project(database.dsn_app, projection, events)
    project(database.dsn_app, index, events)


def _export_recipes(made: "_Files") -> Recipes:
    export = Recipe(fresh=lambda: made.succeeded, missing="export_not_found")
    job = Recipe(fresh=made.queued, missing="job_not_found")
    return {
        "list_jobs": [listed(lambda: made.succeeded), listed(made.queued, lambda _: {"status": "queued"})],
        "get_job": [job],
        "cancel_job": [job],
        "create_export": [Recipe(fresh=whatever, body=lambda _id, _caller: {"dataset": "entries", "format": "csv"})],
        "get_export": [export],
        "get_export_file": [export],
        "link_export": [replace(export, body=lambda _id, _caller: {"expires_in_s": 60})],
        "revoke_export_links": [export],
    }


def _report_recipes(made: "_Files") -> Recipes:
    report = Recipe(fresh=lambda: made.succeeded, missing="report_not_found")
    asked = {"report": "trial_balance", "at": "2026-01-02T00:00:00Z", "format": "csv"}
    return {
        "create_report": [Recipe(fresh=whatever, body=lambda _id, _caller: asked)],
        "list_reports": [listed(lambda: made.succeeded)],
        "get_report": [report],
        "get_report_file": [report],
    }


@dataclass(frozen=True, slots=True)
class _Files:
    """Jobs of one kind: one with a file, and such that wait."""

    succeeded: str
    queued: Callable[[], str]


def _files(database: Database, kind: Kind, request: str) -> _Files:
    owners = {Kind.EXPORT: frozenset({OWNER}), Kind.REPORT: None}[kind]
    caller = principal_of("asker", tenant_id=OURS, acts_for=owners)
    nothing = JobFile(name="nothing.csv", media_type="text/csv", rows=0, size_bytes=0, sha256=bytes(32))

    async def submit(*, is_done: bool) -> str:
        async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="matrix")) as pool:
            async with pool.transaction() as tx:
                asked = await JobCommands().submit(tx, caller, kind, request)
            assert isinstance(asked, Job)
            if is_done:
                lease = await JobQueue(pool, lease_s=60.0).take()
                assert lease is not None
                await lease.succeed(nothing, kept_days=7)
        return str(asked.id)

    return _Files(asyncio.run(submit(is_done=True)), lambda: asyncio.run(submit(is_done=False)))


def _statement_recipes(wallet: UUID, statement: str) -> Recipes:
    ends = (f"2026-03-01T00:00:{second:02}Z" for second in range(60))
    settings = {"time_zone": "UTC", "locale": "en", "schedule": "monthly", "formats": ["csv"]}
    own = Recipe(fresh=lambda: statement, missing="statement_not_found")
    of_owner = Recipe(fresh=lambda: OWNER, owned=OWNER_IN_BODY)
    return {
        "put_statement_settings": [replace(about_nothing(), body=lambda _id, _caller: settings)],
        "get_statement_settings": [about_nothing()],
        "put_owner_statement_settings": [replace(of_owner, body=lambda _id, _caller: settings)],
        "get_owner_statement_settings": [of_owner],
        "list_statements": [listed(lambda: statement), listed(lambda: statement, lambda _: {"wallet_id": str(wallet)})],
        "create_statement": [
            Recipe(
                fresh=lambda: str(wallet),
                missing=MISSING,
                body=lambda wallet_id, _caller: {"wallet_id": wallet_id, "to": next(ends)},
            )
        ],
        "get_statement": [own],
        "get_statement_file": [replace(own, params=lambda _: {"format": "csv"})],
        "reissue_statement": [own],
    }


def _statement(database: Database, wallet: UUID) -> str:
    """Return a statement of a wallet, whose table is made and is empty."""
    caller = principal_of("closer", tenant_id=OURS)

    async def close() -> str:
        async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="matrix")) as pool:
            async with pool.transaction() as tx:
                await complete(tx.connection)
                closed = await StatementCommands().close(tx, caller, wallet, date(2026, 2, 1))
                assert isinstance(closed, Told)
                await tx.connection.execute(_MADE, closed.statement.id, OURS)
            return str(closed.statement.id)

    return asyncio.run(close())


def fraud_recipes(setup: Setup, database: Database) -> Recipes:
    """Have wallets judged, and return how each operation is asked for."""
    stream, ours, theirs = Stream(), wallet_in(3), wallet_in(4)
    events = [
        event
        for tenant_id, wallet in ((OURS, ours), (THEIRS, theirs))
        for event in of_tenant(
            tenant_id,
            stream.opened(wallet, owner=OWNER),
            *(stream.transfer(wallet, wallet_in(9), owners=(OWNER, OWNER))[0] for _ in range(TRANSFERS)),
        )
    ]
    _judge(database, events)
    decision = made_first(setup.admin(Home(OURS, OWNER)), "/v1/risk/decisions")
    return {
        "get_wallet_risk": [Recipe(fresh=lambda: str(ours), missing=MISSING)],
        "list_decisions": [listed(lambda: str(ours)), listed(lambda: str(ours), lambda _: {"wallet_id": str(ours)})],
        "get_decision": [Recipe(fresh=lambda: decision, missing="not_found")],
        "get_rules": [about_nothing()],
    }


def _judge(database: Database, events: list[Envelope]) -> None:
    """Feed *events* to fraud's projection, under rules that some of them break."""
    with TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(RULES)
        settings = FraudSettings(
            fraud_database_url=database.dsn_app,
            fraud_reader_database_url=database.dsn_reader,
            fraud_rules_file=rules,
            fraud_live_for_s=MILLENNIUM_S,
        )

        @asynccontextmanager
        async def projection(pool: Pool) -> AsyncIterator[Projection]:
            rule_store = fraud.bootstrap.make_rule_store(settings, pool)
            await rule_store.start()
            yield fraud.bootstrap.make_projection(settings, in_force=rule_store)

        project(database.dsn_app, projection, events)
