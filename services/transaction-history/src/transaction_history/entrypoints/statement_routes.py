"""The routes of statements, their settings and files."""

from collections.abc import Sequence
from typing import Final

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, EVERY_OWNER, Access, Cost
from servicekit.http.route import Link, Route
from transaction_history.entrypoints import files
from transaction_history.entrypoints.parameters import HISTORY
from transaction_history.entrypoints.statement_bodies import (
    CreateStatement,
    SettingBody,
    StatementsBody,
    StatementSettings,
    ToldStatementBody,
)
from transaction_history.entrypoints.statement_handlers import STATEMENTS, StatementHandlers
from transaction_history.statements.making import MEDIA_TYPES

_SETTINGS: Final = f"{HISTORY}/statement-settings"
_OWNERS: Final = f"{HISTORY}/owners/{{owner_id}}/statement-settings"
_STATEMENT: Final = f"{STATEMENTS}/{{statement_id}}"
_TAGS: Final = ("statements",)
_NOT_THEIRS: Final = "For a caller that acts for some owners alone there is no statement of another owner."
_FURTHER: Final = (
    "A period begins where the one before ended, so that another zone or schedule leaves no gap; "
    "with the schedule `none` nothing is closed by itself."
)
_TO_STATEMENT: Final[Sequence[Link]] = tuple(
    (name, {"statement_id": "$response.body#/id"}) for name in ("get_statement", "reissue_statement")
)


def statement_routes(handlers: StatementHandlers) -> Sequence[Route]:
    """Return the routes of statements."""
    return (*_of_settings(handlers), *_of_statements(handlers), *_of_one(handlers))


def _of_settings(handlers: StatementHandlers) -> Sequence[Route]:
    return (
        Route(
            method="PUT",
            path=_SETTINGS,
            handler=handlers.put_tenants,
            access=Access(scopes.HISTORY_REPORT, EVERY_OWNER, Cost.COMMAND),
            operation_id="put_statement_settings",
            summary="Say how the tenant's wallets are closed",
            description=f"It holds for owners without settings of their own. {_FURTHER}",
            tags=_TAGS,
            request=StatementSettings,
            response=SettingBody,
        ),
        Route(
            method="GET",
            path=_SETTINGS,
            handler=handlers.tenants,
            access=Access(scopes.HISTORY_READ, EVERY_OWNER, Cost.READ),
            operation_id="get_statement_settings",
            summary="How the tenant's wallets are closed",
            tags=_TAGS,
            response=SettingBody,
        ),
        Route(
            method="PUT",
            path=_OWNERS,
            handler=handlers.put_owners,
            access=Access(scopes.HISTORY_REPORT, "{owner_id}", Cost.COMMAND),
            operation_id="put_owner_statement_settings",
            summary="Say how an owner's wallets are closed",
            description=_FURTHER,
            tags=_TAGS,
            request=StatementSettings,
            response=SettingBody,
            problems=[problems.NOT_FOUND],
        ),
        Route(
            method="GET",
            path=_OWNERS,
            handler=handlers.owners,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="get_owner_statement_settings",
            summary="How an owner's wallets are closed",
            tags=_TAGS,
            response=SettingBody,
            problems=[problems.NOT_FOUND],
        ),
    )


def _of_statements(handlers: StatementHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=STATEMENTS,
            handler=handlers.list,
            access=Access(scopes.HISTORY_READ, EACH_ROW, Cost.READ),
            operation_id="list_statements",
            summary="Statements, those whose periods ended last first",
            description=f"Of periods that ended after `from` and not after `to`. {_NOT_THEIRS}",
            tags=_TAGS,
            response=StatementsBody,
        ),
        Route(
            method="POST",
            path=STATEMENTS,
            handler=handlers.create,
            access=Access(scopes.HISTORY_REPORT, "/wallet_id", Cost.COMMAND),
            operation_id="create_statement",
            summary="Close a wallet's period now",
            description="From where its last statement ended, or its opening, up to `to`; the schedule goes on there.",
            tags=_TAGS,
            request=CreateStatement,
            response=ToldStatementBody,
            status=201,
            problems=[
                *(problems.WALLET_NOT_FOUND, problems.WALLET_NOT_OPEN_YET, problems.WALLET_PARKED),
                *(problems.PERIOD_NOT_OVER, problems.PERIOD_CLOSED, problems.PERIOD_TOO_LONG),
            ],
            links=_TO_STATEMENT,
        ),
    )


def _of_one(handlers: StatementHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=_STATEMENT,
            handler=handlers.get,
            access=Access(scopes.HISTORY_READ, "{statement_id}", Cost.READ),
            operation_id="get_statement",
            summary="A statement",
            description=_NOT_THEIRS,
            tags=_TAGS,
            response=ToldStatementBody,
            problems=[problems.STATEMENT_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=f"{_STATEMENT}/file",
            handler=handlers.file,
            access=Access(scopes.HISTORY_READ, "{statement_id}", Cost.READ),
            operation_id="get_statement_file",
            summary="A statement as a file, or a range of its bytes",
            description=f"Where there is none it is made, and waited for two seconds at most. {_NOT_THEIRS}",
            tags=_TAGS,
            media_types=tuple(MEDIA_TYPES.values()),
            response_headers=files.HEADERS,
            problems=[
                *(problems.STATEMENT_NOT_FOUND, problems.FILE_NOT_READY, problems.NO_FILE),
                *(problems.TOO_MANY_JOBS, problems.RANGE_NOT_SATISFIABLE, problems.UNAVAILABLE),
            ],
        ),
        Route(
            method="POST",
            path=f"{_STATEMENT}/reissue",
            handler=handlers.reissue,
            access=Access(scopes.HISTORY_REPORT, "{statement_id}", Cost.COMMAND),
            operation_id="reissue_statement",
            summary="Have a statement told anew, in the language that holds now",
            description=f"The figures are the same, and its other issues stay. {_NOT_THEIRS}",
            tags=_TAGS,
            response=ToldStatementBody,
            status=201,
            problems=[problems.STATEMENT_NOT_FOUND, problems.TOO_MANY_ISSUES],
            links=_TO_STATEMENT,
        ),
    )
