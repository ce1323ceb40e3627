"""What is asked about statements, their settings and files: what the caller may not know of is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from servicekit.conditions import Where
from servicekit.postgres import Connection
from servicekit.principal import Principal
from servicekit.read_model.walking import Walk, Walked
from servicekit.tenant_pool import TenantPool
from transaction_history.domain.closing import USUAL, FileFormat, Statement, Terms
from transaction_history.reads.listing import Listing, TimedPosition, read_page
from transaction_history.reads.wallets import sought_owners
from transaction_history.statements.files_postgres import FILE_COLUMNS, StatementFile, file_of
from transaction_history.statements.rows import COLUMNS, statement_of, terms_of

if TYPE_CHECKING:
    import asyncpg

ISSUES_MAX: Final = 50
FILES_TOLD: Final = 200
"""Files of a statement that are told of: those of its newest issue first."""
OF_TENANT: Final = ""
"""The owner whose settings hold for all that have none."""
SETTING_COLUMNS: Final = "owner_id, id, time_zone, locale, schedule, formats, updated_at"
_LIST: Final[Listing[TimedPosition]] = Listing(
    selected=", ".join(COLUMNS), table="history_jobs.statement", key=("to_instant", "id")
)
_SETTING: Final = f"""
    select {SETTING_COLUMNS} from history_jobs.statement_setting
    where tenant_id = $1 and owner_id in ($2, '') order by owner_id desc limit 1"""
_ISSUES: Final = """
    select issue, locale, issued_at from history_jobs.statement_issue
    where tenant_id = $1 and statement_id = $2 order by issue"""
_FILES: Final = f"""
    select {FILE_COLUMNS} from history_jobs.statement_file f
    where f.tenant_id = $1 and f.statement_id = $2 order by f.issue desc, f.format, f.volume limit {FILES_TOLD}"""
_FILE: Final = f"""
    select {FILE_COLUMNS} from history_jobs.statement_file f
    where f.tenant_id = $1 and f.statement_id = $2 and f.issue = $3 and f.format = $4 and f.volume = $5"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How an owner's wallets are closed: by settings of its own, or else of its tenant, or else of nobody."""

    terms: Terms
    is_own: bool
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """Which statements: *from_at* and *to_at* bound when their periods ended: after the one, not after the other."""

    wallet_id: UUID | None = None
    owner_id: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """A statement told anew."""

    issue: int
    locale: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """A statement with its issues, the first of which is its own, and its files."""

    statement: Statement
    issues: Sequence[Issue]
    files: Sequence[StatementFile]


@dataclass(frozen=True, slots=True)
class StatementUnknown:
    """The caller has no such statement."""


@dataclass(frozen=True, slots=True)
class _Reading:
    connection: Connection

    async def fetch(self, query: str, asked: Where) -> "list[asyncpg.Record]":
        rows: list[asyncpg.Record] = await self.connection.fetch(query, *asked.values)
        return rows


class StatementQueries:
    """Answers for one caller at a time."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def setting(self, caller: Principal, owner_id: str = OF_TENANT) -> Setting:
        """Return what holds for the wallets of an owner, or of all that have no settings of their own."""
        async with self._tenants.reading(caller.tenant_id) as connection:
            return await setting_on(connection, caller.tenant_id, owner_id)

    async def page(
        self, caller: Principal, wanted: StatementFilter, walk: Walk[TimedPosition]
    ) -> Walked[Statement, TimedPosition]:
        """Return a page of statements, those whose periods ended last first."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wanted.wallet_id})
        if wanted.from_at is not None:
            asked.require(f"to_instant > {asked.value(wanted.from_at)}")
        if wanted.to_at is not None:
            asked.require(f"to_instant <= {asked.value(wanted.to_at)}")
        each = sought_owners(caller, [] if wanted.owner_id is None else [wanted.owner_id])
        async with self._tenants.reading(caller.tenant_id) as connection:
            found = await read_page(_Reading(connection), _LIST, walk, asked, each=each)
        rows = [statement_of(row) for row in found.rows]
        return Walked(rows, lambda row: TimedPosition(row.to_instant, row.id))

    async def statement(self, caller: Principal, statement_id: UUID) -> Statement | StatementUnknown:
        """Return a statement."""
        async with self._tenants.reading(caller.tenant_id) as connection:
            return await statement_on(connection, caller, statement_id)

    async def told(self, caller: Principal, statement_id: UUID) -> Told | StatementUnknown:
        """Return a statement with all that belongs to it."""
        async with self._tenants.reading(caller.tenant_id) as connection:
            found = await statement_on(connection, caller, statement_id)
            return found if isinstance(found, StatementUnknown) else await told_on(connection, found)

    async def file(self, statement: Statement, issue: int, kind: FileFormat, volume: int) -> StatementFile | None:
        """Return a file of a statement that the caller may see, None where nobody has asked for it."""
        async with self._tenants.reading(statement.tenant_id) as connection:
            row = await connection.fetchrow(_FILE, statement.tenant_id, statement.id, issue, kind, volume)
        return None if row is None else file_of(row)


async def setting_on(connection: Connection, tenant_id: UUID, owner_id: str) -> Setting:
    """Return what holds for the wallets of an owner, as *connection* sees it."""
    row = await connection.fetchrow(_SETTING, tenant_id, owner_id)
    if row is None:
        return Setting(terms=USUAL, is_own=False, updated_at=None)
    return Setting(terms=terms_of(row), is_own=row["owner_id"] == owner_id, updated_at=row["updated_at"])


async def statement_on(
    connection: Connection, caller: Principal, statement_id: UUID, *, locking: str = ""
) -> Statement | StatementUnknown:
    """Return a statement as *connection* sees it, with the clause *locking*."""
    asked = Where({"tenant_id": caller.tenant_id, "id": statement_id})
    asked.owners(caller.owners)
    query = f"select {', '.join(COLUMNS)} from history_jobs.statement {asked} {locking}"
    row = await connection.fetchrow(query, *asked.values)
    return StatementUnknown() if row is None else statement_of(tuple(row))


async def told_on(connection: Connection, statement: Statement) -> Told:
    """Return *statement* with all that belongs to it, as *connection* sees it."""
    issues = await connection.fetch(_ISSUES, statement.tenant_id, statement.id)
    files = await connection.fetch(_FILES, statement.tenant_id, statement.id)
    first = Issue(1, statement.locale, statement.closed_at)
    return Told(statement, [first, *(Issue(*row) for row in issues)], [file_of(row) for row in files])
