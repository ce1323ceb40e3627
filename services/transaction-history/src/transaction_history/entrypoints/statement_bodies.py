"""What clients say of statements, and what they are told."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.envelope import rfc3339
from contracts.money import format_minor
from contracts.zones import zone_names
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.routes.paging import ShownBothWays
from transaction_history.domain.closing import FileFormat, Locale, Statement, Terms, volumes_of
from transaction_history.domain.periods import Schedule
from transaction_history.entrypoints.bodies import MoneyBody
from transaction_history.rendering import LINES_PER_VOLUME
from transaction_history.statements.files_postgres import StatementFile
from transaction_history.statements.making import MEDIA_TYPES
from transaction_history.statements.queries import Setting, Told

TO_MAX: Final = 64


class StatementSettings(BaseModel):
    """How wallets are closed: when periods end, in which language and as what files statements are made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    time_zone: Annotated[str, Field(min_length=1, max_length=64, description="The IANA zone of the local midnights.")]
    locale: Literal["en", "de", "ar"]
    schedule: Literal["weekly", "monthly", "quarterly", "none"]
    formats: Annotated[
        list[Literal["pdf", "csv"]],
        Field(max_length=2, description="Files that are made before anybody asks; others when somebody does."),
    ]


class CreateStatement(BaseModel):
    """A period to be closed now: up to *to*, an instant with its offset, or the beginning of a local day."""

    model_config = ConfigDict(extra="forbid", strict=True)

    wallet_id: Annotated[
        str, Field(min_length=36, max_length=36, json_schema_extra={"format": "uuid"}, description="The wallet.")
    ]
    to: Annotated[
        str,
        Field(
            min_length=1,
            max_length=TO_MAX,
            description="Not included: RFC 3339 with its offset, or a date in the time zone of the settings.",
        ),
    ]


class SettingBody(BaseModel):
    """What holds. *is_own*: it was said for this owner, or for the tenant where that is asked for."""

    time_zone: str
    locale: str
    schedule: str
    formats: list[str]
    is_own: bool
    updated_at: str | None


class TypeBody(BaseModel):
    """What the entries of one type of transaction came to."""

    transaction_type: str
    entries: int
    credits: MoneyBody
    debits: MoneyBody


class OpenHoldBody(BaseModel):
    """A hold that was open at the period's end; what was captured or released since is within the amount."""

    id: str
    amount: MoneyBody
    placed_at: str
    expires_at: str | None


class StatementBody(BaseModel):
    """A closed period: opening + credits - debits = closing, fees within both sides.

    *period_to* and *to_instant* are not included. It covers the wallet's versions from *first_version* to
    *last_version*, which is one less where nothing happened. Of more than 20 open holds *holds_left_out* are not told.
    All that occurred up to *complete_until* was there when it was closed.
    """

    id: str
    wallet_id: str
    owner_id: str
    number: int
    issue: int
    period_from: str
    period_to: str
    from_instant: str
    to_instant: str
    time_zone: str
    locale: str
    first_version: int
    last_version: int
    opening: MoneyBody
    closing: MoneyBody
    credits: MoneyBody
    debits: MoneyBody
    fees: MoneyBody
    entries: int
    volumes: int
    by_type: list[TypeBody]
    open_holds: list[OpenHoldBody]
    holds_left_out: int
    complete_until: str
    closed_at: str


class IssueBody(BaseModel):
    """The statement as it was told at *issued_at*, in a language."""

    issue: int
    locale: str
    issued_at: str


class StatementFileBody(BaseModel):
    """A file of the statement. *sha256* stays when the file is not kept any longer."""

    issue: int
    format: str
    volume: int
    media_type: str
    status: str
    failure: str | None
    size_bytes: int | None
    sha256: str | None
    expires_at: str | None


class ToldStatementBody(StatementBody):
    """A statement with its issues and up to 200 of its files, the newest issue's first."""

    issues: list[IssueBody]
    files: list[StatementFileBody]


class StatementsBody(BaseModel):
    """A page of statements, those whose periods ended last first."""

    data: list[StatementBody]
    next_cursor: str | None
    prev_cursor: str | None


def terms_from(body: StatementSettings) -> Terms:
    """Return what *body* says; raises Problem `invalid_request`."""
    errors = []
    if body.time_zone not in zone_names():
        errors.append(FieldError("/time_zone", "unknown_time_zone", "There is no such IANA time zone."))
    if len(set(body.formats)) < len(body.formats):
        errors.append(FieldError("/formats", "contradiction", "A format stands there twice."))
    if errors:
        raise invalid_request(*errors)
    return Terms(
        setting_id=None,
        time_zone=body.time_zone,
        locale=Locale(body.locale),
        schedule=Schedule(body.schedule),
        formats=tuple(FileFormat(each) for each in sorted(body.formats)),
    )


def setting_body(setting: Setting) -> SettingBody:
    """Return *setting* as a client sees it."""
    terms = setting.terms
    return SettingBody(
        time_zone=terms.time_zone,
        locale=terms.locale,
        schedule=terms.schedule,
        formats=list(terms.formats),
        is_own=setting.is_own,
        updated_at=None if setting.updated_at is None else rfc3339(setting.updated_at),
    )


def told_body(told: Told) -> ToldStatementBody:
    """Return a statement with all that belongs to it as a client sees it."""
    return ToldStatementBody(
        **dict(statement_body(told.statement)),
        issues=[
            IssueBody(issue=each.issue, locale=each.locale, issued_at=rfc3339(each.issued_at)) for each in told.issues
        ],
        files=[_file(each) for each in told.files],
    )


def statements_body(shown: ShownBothWays[Statement]) -> StatementsBody:
    """Return a page of statements as a client sees it."""
    return StatementsBody(
        data=[statement_body(each) for each in shown.rows],
        next_cursor=shown.next_cursor,
        prev_cursor=shown.prev_cursor,
    )


def statement_body(statement: Statement) -> StatementBody:
    """Return *statement* as a client sees it."""

    def amount(minor: int) -> MoneyBody:
        return MoneyBody(amount=format_minor(minor, statement.currency), currency=statement.currency)

    told_as_they_are = ("number", "issue", "time_zone", "locale", "first_version", "last_version", "entries")
    return StatementBody(
        **{name: getattr(statement, name) for name in (*told_as_they_are, "owner_id", "holds_left_out")},
        id=str(statement.id),
        wallet_id=str(statement.wallet_id),
        period_from=statement.period_from.isoformat(),
        period_to=statement.period_to.isoformat(),
        from_instant=rfc3339(statement.from_instant),
        to_instant=rfc3339(statement.to_instant),
        opening=amount(statement.opening),
        closing=amount(statement.closing),
        credits=amount(statement.credits),
        debits=amount(statement.debits),
        fees=amount(statement.fees),
        volumes=volumes_of(statement.entries, FileFormat.PDF, LINES_PER_VOLUME),
        by_type=[
            TypeBody(
                transaction_type=each.transaction_type,
                entries=each.entries,
                credits=amount(each.credits),
                debits=amount(each.debits),
            )
            for each in statement.by_type
        ],
        open_holds=[
            OpenHoldBody(
                id=str(each.hold_id),
                amount=amount(each.amount),
                placed_at=rfc3339(each.placed_at),
                expires_at=None if each.expires_at is None else rfc3339(each.expires_at),
            )
            for each in statement.holds
        ],
        complete_until=rfc3339(statement.complete_until),
        closed_at=rfc3339(statement.closed_at),
    )


def _file(file: StatementFile) -> StatementFileBody:
    return StatementFileBody(
        issue=file.issue,
        format=file.format,
        volume=file.volume,
        media_type=MEDIA_TYPES[file.format],
        status=file.status,
        failure=file.failure,
        size_bytes=file.size_bytes,
        sha256=None if file.sha256 is None else file.sha256.hex(),
        expires_at=None if file.expires_at is None else rfc3339(file.expires_at),
    )
