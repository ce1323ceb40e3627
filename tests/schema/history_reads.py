"""Every read of the history's API, each by what it finds."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry

from contracts.ids import SHARDS
from servicekit.postgres import Connection, Pool
from servicekit.principal import Principal
from servicekit.read_model.projected import Projected
from servicekit.read_model.walking import Walk, Walked
from servicekit.tenant_pool import TenantPool
from testkit.access import principal_of
from testkit.events import EPOCH
from transaction_history.dashboard import answers_postgres
from transaction_history.domain import dashboard
from transaction_history.domain.closing import Account, FileFormat, Locale, Seen, Statement, Terms, close
from transaction_history.domain.dashboard import (
    Dashboard,
    DashboardAsked,
    Question,
    Ranked,
    TopAsked,
    Window,
    question_text,
)
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.exports import ExportFilters
from transaction_history.domain.links import LinkName
from transaction_history.domain.periods import Schedule
from transaction_history.domain.private_text import ClearText
from transaction_history.domain.term_query import TermQuery
from transaction_history.domain.totals import Standing
from transaction_history.exports.dataset import Dataset
from transaction_history.exports.datasets import DATASETS, TRANSACTIONS_OF_OWNERS
from transaction_history.exports.plan import Plan
from transaction_history.exports.reading_postgres import ExportReader
from transaction_history.jobs.queries import JobFilter, JobQueries, WithPieces
from transaction_history.jobs.rows import Job, Snapshot
from transaction_history.reads.balances import balance_at
from transaction_history.reads.entries import list_entries
from transaction_history.reads.figures import answer_to
from transaction_history.reads.holds import HoldPosition, wallet_holds, wallet_state_changes
from transaction_history.reads.listing import TimedPosition, VersionPosition
from transaction_history.reads.search import entries_at
from transaction_history.reads.search_index import END, Asked, Budget, Key, find
from transaction_history.reads.targets import PRIMARY, Target, Targets
from transaction_history.reads.transactions import (
    TransactionFilter,
    TransactionUnknown,
    list_transactions,
    transaction,
)
from transaction_history.reads.view import View
from transaction_history.reads.wallets import (
    WalletFilter,
    WalletUnknown,
    known_wallet,
    list_wallets,
    owner_balances,
    owner_shards,
)
from transaction_history.statements.lines_postgres import LineReader
from transaction_history.statements.queries import StatementFilter, StatementQueries, Told

KEPT_QUESTION: Final = DashboardAsked(Window.DAY)
KEPT_ANSWER: Final = Dashboard(
    told=dashboard.Told(
        as_of=EPOCH, complete_until=None, parked_count=0, parked_ids=[], counted_from=EPOCH, is_complete=True
    ),
    minutes=[],
    volumes=[],
    currencies=[],
    active=[],
)
KEPT: Final = f"'{question_text(KEPT_QUESTION)}', now(), now(), 1, '{msgspec.json.encode(KEPT_ANSWER).decode()}'"
"""What is asked and answered, and when, as columns of its row."""

Read = Callable[[UUID], Coroutine[Any, Any, Sequence[object]]]


def ledger_reads(tenants: TenantPool, wallet: UUID, owner: str) -> Mapping[str, Read]:
    """Return the reads of the ledger's tables, about *wallet* (which is a transaction's id too) and *owner*."""
    by_time: Walk[TimedPosition] = Walk(None, is_back=False, is_included=False, limit=9)
    by_version: Walk[VersionPosition] = Walk(None, is_back=False, is_included=False, limit=9)
    by_hold: Walk[HoldPosition] = Walk(None, is_back=False, is_included=False, limit=9)

    def read(ask: Callable[[View], Awaitable[Any]], found: Callable[[Any], Sequence[object]] = _rows) -> Read:
        async def reading(tenant: UUID) -> Sequence[object]:
            async with tenants.reading(tenant) as connection:
                try:
                    return found(await ask(View(_every(tenant), connection, _NONE_PARKED, {}, {})))
                except (WalletUnknown, TransactionUnknown):
                    return []

        return reading

    everything = TransactionFilter()
    return {
        "wallet": read(lambda view: known_wallet(view, wallet), lambda found: [found]),
        "wallets": read(lambda view: list_wallets(view, WalletFilter(), by_time)),
        "owner_shards": read(lambda view: owner_shards(view, owner), list),
        "owner_balances": read(lambda view: owner_balances(view, owner), lambda found: found.balances),
        "wallet_entries": read(lambda view: list_entries(view, EntryFilter(wallet_ids=(wallet,)), by_time)),
        "owner_entries": read(lambda view: list_entries(view, EntryFilter(owner_ids=(owner,)), by_time)),
        "entries": read(lambda view: list_entries(view, EntryFilter(), by_time)),
        "transaction": read(lambda view: transaction(view, wallet), lambda found: found.entries),
        "transactions": read(lambda view: list_transactions(view, everything, by_time, newest_first=True)),
        "holds": read(lambda view: wallet_holds(view, wallet, (), by_hold)),
        "state_changes": read(lambda view: wallet_state_changes(view, wallet, by_version)),
        "balance_at": read(
            lambda view: balance_at(view, wallet, EPOCH),
            lambda found: [found.standing] if found.standing.entries else [],
        ),
    }


def _primary_alone(tenants: TenantPool) -> Targets:
    return Targets(Target(PRIMARY, tenants, _NONE_PARKED), [], lag_ms_max=1_000, registry=CollectorRegistry())


def dashboard_reads(tenants: TenantPool) -> Mapping[str, Read]:
    """Return the reads of a tenant's figures, and of those that are kept."""

    def figures(question: Question, found: Callable[[Any], Sequence[object]]) -> Read:
        async def reading(tenant: UUID) -> Sequence[object]:
            async with tenants.reading(tenant) as connection:
                return found(await answer_to(connection, tenant, question))

        return reading

    async def kept(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            found = await answers_postgres.read(connection, tenant, KEPT_QUESTION)
            return [] if found is None else [found]

    def ranked(by: Ranked) -> Read:
        return figures(TopAsked(by, Window.MONTH, "USD"), lambda found: found.wallets)

    return {
        "kept_answer": kept,
        "dashboard_minutes": figures(DashboardAsked(Window.DAY), lambda found: found.minutes),
        "dashboard_volumes": figures(DashboardAsked(Window.DAY), lambda found: found.volumes),
        "dashboard_days": figures(DashboardAsked(Window.MONTH), lambda found: found.volumes),
        "dashboard_currencies": figures(DashboardAsked(Window.MONTH), lambda found: found.currencies),
        "dashboard_active": figures(DashboardAsked(Window.MONTH), lambda found: found.active),
        **{f"top_wallets_by_{by.value}": ranked(by) for by in Ranked},
    }


def job_reads(tenants: TenantPool, job_id: UUID) -> Mapping[str, Read]:
    """Return the reads of jobs, about that of *job_id*, which a link has too, and of what they export."""
    jobs, exports = JobQueries(tenants), ExportReader(_primary_alone(tenants))
    anything = JobFilter(None, None)

    async def job(tenant: UUID) -> Sequence[object]:
        found = await jobs.job(_every(tenant), job_id)
        return [found] if isinstance(found, Job) else []

    async def file(tenant: UUID) -> Sequence[object]:
        found = await jobs.file(_every(tenant), job_id, kind="export")
        return found.pieces if isinstance(found, WithPieces) else []

    async def linked(tenant: UUID) -> Sequence[object]:
        found = await jobs.linked(LinkName(tenant, job_id))
        return found.pieces if isinstance(found, WithPieces) else []

    def rows_of(dataset: Dataset) -> Read:
        async def rows(tenant: UUID) -> Sequence[object]:
            seen = Snapshot(as_of=(9,) * SHARDS, parked=(), complete_until=None)
            plan = Plan(dataset, dataset.columns, ExportFilters(), tenant_id=tenant, owners=None, seen=seen)
            records, _ = await exports.chunk(tenant, plan, None, 9)
            return records

        return rows

    return {
        "jobs": lambda tenant: jobs.jobs(_every(tenant), anything, before=None, limit=9),
        "job": job,
        "file": file,
        "linked": linked,
        **{f"exported_{name}": rows_of(dataset) for name, dataset in DATASETS.items()},
        "exported_transactions_of_owners": rows_of(TRANSACTIONS_OF_OWNERS),
    }


def statement_reads(tenants: TenantPool, wallet: UUID, owner: str) -> Mapping[str, Read]:
    """Return the reads of statements, about that of *wallet*, which has its id, and of what they are made of."""
    queries, reader = StatementQueries(tenants), LineReader(tenants, ClearText())
    by_time: Walk[TimedPosition] = Walk(None, is_back=False, is_included=False, limit=9)

    def of(tenant: UUID) -> Statement:
        terms, instant = (
            Terms(setting_id=None, time_zone="UTC", locale=Locale.EN, schedule=Schedule.NONE, formats=()),
            EPOCH + timedelta(days=1),
        )
        seen = Seen(
            currency="USD",
            private=None,
            closed_at=None,
            complete_until=instant,
            standing=Standing(version=1, occurred_at=EPOCH, posted_minor=2, entries=2, credits_minor=2),
            by_type=(),
            holds=(),
            holds_left_out=0,
        )
        account = Account(wallet_id=wallet, tenant_id=tenant, owner_id=owner, opened_at=EPOCH, ended_at=EPOCH)
        return close(account, terms, seen, instant, statement_id=wallet, now=instant).statement

    async def told(tenant: UUID) -> Sequence[object]:
        found = await queries.told(_every(tenant), wallet)
        return found.files if isinstance(found, Told) and len(found.issues) > 1 else []

    async def setting(tenant: UUID) -> Sequence[object]:
        found = await queries.setting(_every(tenant), owner)
        return [found] if found.is_own else []

    async def file(tenant: UUID) -> Sequence[object]:
        found = await queries.file(of(tenant), 1, FileFormat.CSV, 1)
        return [] if found is None else [found]

    async def lines(tenant: UUID) -> Sequence[object]:
        return [line async for chunk in reader.chunks(of(tenant), 0, 9) for line in chunk]

    async def day(tenant: UUID) -> Sequence[object]:
        found = await reader.day_before(of(tenant), 2)
        return [] if found is None else [found]

    return {
        "statements": lambda tenant: _page(queries.page(_every(tenant), StatementFilter(), by_time)),
        "statement": told,
        "statement_setting": setting,
        "statement_file": file,
        "statement_lines": lines,
        "statement_volume": day,
    }


async def _page(reading: Awaitable[Walked[Any, Any]]) -> Sequence[object]:
    return (await reading).rows


def search_reads(tenants: TenantPool, wallet: UUID) -> Mapping[str, Read]:
    """Return the reads of searches, about an entry of *wallet*."""

    async def keys(tenant: UUID) -> Sequence[object]:
        asked = Asked(
            tenant_id=tenant, owners=None, wallets=None, asked=EntryFilter(), terms=TermQuery(), scoped=TermQuery()
        )
        async with tenants.reading(tenant) as connection:
            return (await find(connection, asked, END, 9, Budget())).keys

    async def entries(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return await entries_at(connection, _every(tenant), [Key(wallet, EPOCH, 1, wallet)])

    return {"search_keys": keys, "search_entries": entries}


def _rows(found: Any) -> Sequence[object]:
    return list(found.page.rows)


def _every(tenant: UUID) -> Principal:
    return principal_of(tenant_id=tenant)


class _NoneParked(Projected):
    """A projection of which no wallet is parked: what is parked is of no tenant."""

    async def refuse_parked_on(self, connection: Connection, subjects: Sequence[UUID]) -> None:
        """Refuse none."""


_NONE_PARKED: Final = _NoneParked(cast("Pool", None), "transaction_history")
