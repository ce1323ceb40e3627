"""What is done with requests about statements."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import Query, Response

from contracts import problems
from contracts.envelope import rfc3339
from contracts.ids import parse_id
from contracts.times import InstantError, parse_instant
from servicekit.access.admission import NotAllowed
from servicekit.clock import monotonic_s
from servicekit.failures import RETRY_AFTER_S
from servicekit.http.edge.context import invalid_query
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError, Problem
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import KeyedCommands, Sent, answer
from servicekit.http.routes.paging import Page, paged_both_ways
from servicekit.http.routes.parsing import filtered_id, path_id
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Pool, Transaction
from servicekit.principal import Principal
from transaction_history.domain.closing import FileFormat, Statement, volumes_of
from transaction_history.domain.jobs import JobStatus
from transaction_history.entrypoints.file_jobs import WAIT_S
from transaction_history.entrypoints.files import AskedPart, part_answer
from transaction_history.entrypoints.parameters import (
    HISTORY,
    From,
    OwnerFilter,
    OwnerId,
    To,
    known_day,
    time_range,
    wallet_id_of,
)
from transaction_history.entrypoints.statement_bodies import (
    CreateStatement,
    SettingBody,
    StatementsBody,
    StatementSettings,
    ToldStatementBody,
    setting_body,
    statements_body,
    terms_from,
    told_body,
)
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.rows import JobFile, Part
from transaction_history.reads.listing import TimedPosition
from transaction_history.rendering import LINES_PER_VOLUME
from transaction_history.statements.commands import (
    ClosedAlready,
    NotOver,
    OpenedLater,
    Refused,
    StatementCommands,
    TooLong,
    TooManyIssues,
    WalletParked,
    WalletUnknown,
)
from transaction_history.statements.files_postgres import StatementFile
from transaction_history.statements.making import MEDIA_TYPES
from transaction_history.statements.queries import (
    ISSUES_MAX,
    OF_TENANT,
    StatementFilter,
    StatementQueries,
    StatementUnknown,
    Told,
)

STATEMENTS: Final = f"{HISTORY}/statements"
WAITED_S_MAX: Final = 2.0
"""For a file that is made meanwhile: most take a fraction of it."""
WAITING_MAX: Final = 32
"""Requests of one process that wait for files; others are told at once to come again."""
_POLL_S: Final = 0.1
_VOLUME_MAX: Final = 1_000_000
_ISSUE_MAX: Final = ISSUES_MAX
_OK: Final = 200
_CREATED: Final = 201
_UNDER_WAY: Final = (JobStatus.QUEUED, JobStatus.RUNNING)
_statement_id: Final = path_id(problems.STATEMENT_NOT_FOUND, "There is no such statement.")

WalletFilter = Annotated[
    str | None, Query(description="Of this wallet alone.", json_schema_extra={"format": "uuid"}, max_length=36)
]
Format = Annotated[FileFormat, Query(alias="format", description="What the file is.")]
Volume = Annotated[int, Query(ge=1, le=_VOLUME_MAX, description="Which volume; a table is one.")]
IssueNumber = Annotated[
    int | None, Query(alias="issue", ge=1, le=_ISSUE_MAX, description="Which issue; without it the newest.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementHandlers:
    """Statements, their settings and files."""

    pool: Pool
    keyed: KeyedCommands
    commands: StatementCommands
    queries: StatementQueries
    objects: Objects
    _waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WAITING_MAX))

    async def put_tenants(self, sent: Sent, body: StatementSettings) -> Response:
        """Say how wallets are closed whose owners have no settings of their own."""
        return await self._put(OF_TENANT, sent, body)

    async def tenants(self, caller: Caller) -> SettingBody:
        """Tell how wallets are closed whose owners have no settings of their own."""
        return setting_body(await self.queries.setting(caller))

    async def put_owners(self, owner_id: OwnerId, sent: Sent, body: StatementSettings) -> Response:
        """Say how an owner's wallets are closed."""
        if not sent.caller.acts_for_owner(owner_id):
            raise _not_theirs(sent.caller)
        return await self._put(owner_id, sent, body)

    async def owners(self, owner_id: OwnerId, caller: Caller) -> SettingBody:
        """Tell how an owner's wallets are closed."""
        if not caller.acts_for_owner(owner_id):
            raise _not_theirs(caller)
        return setting_body(await self.queries.setting(caller, owner_id))

    async def list(
        self,
        *,
        caller: Caller,
        page: Page,
        wallet_id: WalletFilter = None,
        owner_id: OwnerFilter = None,
        begin: From = None,
        end: To = None,
    ) -> StatementsBody:
        """Tell of statements."""
        begins, ends = time_range(begin, end)
        wallet = filtered_id(wallet_id, "wallet_id", "The value is not a wallet's id.")
        wanted = StatementFilter(wallet_id=wallet, owner_id=owner_id, from_at=begins, to_at=ends)
        asked = paged_both_ways(page, TimedPosition, "statements", caller.tenant_id, caller.owners, wanted)
        return statements_body(asked.show(await self.queries.page(caller, wanted, asked.walk)))

    async def create(self, sent: Sent, body: CreateStatement) -> Response:
        """Close a wallet's period now."""
        wallet_id, to = parse_id(body.wallet_id), _end_of(body.to)
        if wallet_id is None:
            raise invalid_request(FieldError("/wallet_id", "invalid_id", "The value is not a wallet's id."))

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            outcome = await self.commands.close(tx, sent.caller, wallet_id, to)
            if not isinstance(outcome, Told):
                return Undone(_refusal(outcome, body.wallet_id))
            return answer(_CREATED, told_body(outcome), location=f"{STATEMENTS}/{outcome.statement.id}")

        return await self.keyed.run(sent, work, [str(wallet_id), to.isoformat()])

    async def get(self, statement_id: PathId, caller: Caller) -> ToldStatementBody:
        """Tell of a statement."""
        found = await self.queries.told(caller, _statement_id(statement_id))
        if isinstance(found, StatementUnknown):
            raise _statement_id.missing(statement_id)
        return told_body(found)

    async def reissue(self, statement_id: PathId, sent: Sent) -> Response:
        """Have a statement told anew."""
        known = _statement_id(statement_id)

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            outcome = await self.commands.reissue(tx, sent.caller, known)
            match outcome:
                case StatementUnknown():
                    return Undone(_statement_id.missing(statement_id))
                case TooManyIssues():
                    return Undone(Problem(problems.TOO_MANY_ISSUES, f"It has {ISSUES_MAX} issues."))
                case _:
                    return answer(_CREATED, told_body(outcome), location=f"{STATEMENTS}/{known}")

        return await self.keyed.run(sent, work)

    async def file(
        self,
        *,
        statement_id: PathId,
        caller: Caller,
        asked: AskedPart,
        kind: Format,
        volume: Volume = 1,
        issue: IssueNumber = None,
    ) -> Response:
        """Answer a file, which is made if there is none."""
        found = await self.queries.statement(caller, _statement_id(statement_id))
        if isinstance(found, StatementUnknown):
            raise _statement_id.missing(statement_id)
        volumes = volumes_of(found.entries, kind, LINES_PER_VOLUME)
        if volume > volumes:
            raise invalid_query(FieldError("/volume", "invalid_value", f"The statement has {volumes} volumes."))
        if issue is not None and issue > found.issue:
            raise invalid_query(FieldError("/issue", "invalid_value", f"The statement has {found.issue} issues."))
        file = await self._made(found, issue or found.issue, kind, volume)
        described = _described(found, file, volumes)
        return await part_answer(*described, asked, self.objects)

    async def _put(self, owner_id: str, sent: Sent, body: StatementSettings) -> Response:
        terms = terms_from(body)

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            return answer(_OK, setting_body(await self.commands.put_setting(tx, sent.caller, owner_id, terms)))

        return await self.keyed.run(sent, work, [terms.time_zone, terms.locale, terms.schedule, list(terms.formats)])

    async def _made(self, statement: Statement, issue: int, kind: FileFormat, volume: int) -> StatementFile:
        """Return a file that is there; have it made where it is not, and wait a moment for that."""
        file = await self.queries.file(statement, issue, kind, volume)
        if file is not None and file.status is JobStatus.SUCCEEDED:
            return file
        async with self.pool.transaction() as tx:
            if not await self.commands.ask_file(tx, statement, issue, kind, volume):
                detail = "Of the tenant as many files are waited for as may be."
                raise Problem(problems.TOO_MANY_JOBS, detail, retry_after_s=WAIT_S)
        if not self._waiting.locked():
            async with self._waiting:
                file = await self._waited(statement, issue, kind, volume)
        if file is not None and file.status is JobStatus.SUCCEEDED:
            return file
        if file is not None and file.status is JobStatus.FAILED:
            raise Problem(problems.NO_FILE, "The file could not be made; operators know.", failure=file.failure)
        raise Problem(problems.FILE_NOT_READY, "The file is being made.", retry_after_s=RETRY_AFTER_S)

    async def _waited(self, statement: Statement, issue: int, kind: FileFormat, volume: int) -> StatementFile | None:
        """Return the file when it is no longer under way, or as it is after two seconds."""
        until_s = monotonic_s() + WAITED_S_MAX
        while True:
            file = await self.queries.file(statement, issue, kind, volume)
            is_under_way = file is None or file.status in _UNDER_WAY or file.status is JobStatus.EXPIRED
            if not is_under_way or monotonic_s() > until_s:
                return file
            await asyncio.sleep(_POLL_S)


def _end_of(text: str) -> date | datetime:
    """Return the instant or the day in `to`; raises Problem `invalid_request`."""
    day = known_day(text)
    if day is not None:
        return day
    try:
        return parse_instant(text)
    except InstantError as error:
        raise invalid_request(FieldError("/to", "invalid_value", str(error))) from None


def _not_theirs(caller: Principal) -> NotAllowed:
    return NotAllowed("The credentials do not act for this owner.", kind=caller.kind)


def _refusal(outcome: Refused, wallet_id: str) -> Problem:
    match outcome:
        case WalletUnknown():
            return wallet_id_of.missing(wallet_id)
        case WalletParked():
            return Problem(problems.WALLET_PARKED, "The wallet is parked; operators know.")
        case OpenedLater(opened_at=at):
            detail = f"The wallet was opened at {rfc3339(at)}: no period ends before."
            return Problem(problems.WALLET_NOT_OPEN_YET, detail, opened_at=rfc3339(at))
        case NotOver(closable_until=until, is_past=is_past):
            detail = "Not all that occurred before the end is known to be there." if is_past else "The end is not past."
            told = None if until is None else rfc3339(until)
            later: dict[str, Any] = {"retry_after_s": WAIT_S} if is_past else {}
            return Problem(problems.PERIOD_NOT_OVER, detail, closable_until=told, **later)
        case ClosedAlready(ended_at=at, is_last=is_last):
            why = "The wallet was closed, and has its last statement" if is_last else "A statement covers that"
            return Problem(problems.PERIOD_CLOSED, f"{why}: it ends at {rfc3339(at)}.", ended_at=rfc3339(at))
        case TooLong():
            return Problem(problems.PERIOD_TOO_LONG, "The period has more entries than a request closes.")


def _described(statement: Statement, file: StatementFile, volumes: int) -> tuple[JobFile, list[Part]]:
    """Return *file* as it is answered, and the object that it is."""
    assert file.object is not None, "a file that was made is in the store"
    assert file.size_bytes is not None, "its size is known"
    assert file.sha256 is not None, "and its hash"
    parts = [f"statement-{statement.number:04d}"]
    parts += [f"issue-{file.issue}"] if file.issue > 1 else []
    parts += [f"volume-{file.volume}-of-{volumes}"] if volumes > 1 else []
    made = JobFile(
        name=f"{'-'.join(parts)}.{file.format}",
        media_type=MEDIA_TYPES[file.format],
        rows=statement.entries,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )
    whole = Part(
        number=0, object=file.object, rows=statement.entries, size_bytes=file.size_bytes, is_served=True, after=None
    )
    return made, [whole]
