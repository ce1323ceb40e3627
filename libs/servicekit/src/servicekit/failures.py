"""The world failed: named operational errors, and what each database error asks of its caller.

Errors are distinguished by SQLSTATE, never by text.
"""

from enum import Enum, auto
from typing import Final

import asyncpg

RETRY_AFTER_S: Final = 1
"""The Retry-After of an answer when nothing better is known."""


class Failure(Enum):
    """What a database error asks of the one who met it."""

    RETRY = auto()
    """Serialization, deadlock, lock timeout: run the same transaction again, a bounded number of times."""
    DATA = auto()
    """A value or a constraint refuses: running again cannot help; split a batch to find the row."""
    CONNECTION_LOST = auto()
    """The outcome may be unknown: reconnect, find out, run again."""
    RESOURCES = auto()
    """The server is out of something, or a statement took too long: back off, do not split."""
    OTHER = auto()
    """Our bug until shown otherwise."""


class OperationalError(Exception):
    """The world failed, not the request: an API answers 503 and `Retry-After` *retry_after_s*."""

    def __init__(self, detail: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class Unavailable(OperationalError):
    """Something the service needs cannot be reached. *failure* is what happened, for a caller that may retry."""

    def __init__(
        self, detail: str, *, failure: Failure = Failure.CONNECTION_LOST, retry_after_s: int = RETRY_AFTER_S
    ) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.failure = failure


class Overloaded(OperationalError):
    """A bound of the service is reached (a queue, a number of waiters): nothing was done."""


class Halted(OperationalError):
    """The service is not known to be whole: it does nothing until that is known, or an operator has decided."""


class PoolExhausted(Overloaded):
    """Every connection of the pool stayed busy until the deadline."""


_OPERATIONAL: Final = frozenset({Failure.RETRY, Failure.CONNECTION_LOST, Failure.RESOURCES})
_BY_SQLSTATE = {
    "40001": Failure.RETRY,  # serialization_failure
    "40P01": Failure.RETRY,  # deadlock_detected
    "55P03": Failure.RETRY,  # lock_not_available
    "57014": Failure.RESOURCES,  # query_canceled: a statement timeout or an operator; the transaction is rolled back
    "25P03": Failure.CONNECTION_LOST,  # idle_in_transaction_session_timeout ended the session
    "25P04": Failure.CONNECTION_LOST,  # transaction_timeout ended the session
    "25006": Failure.CONNECTION_LOST,  # read_only_sql_transaction: this server is no longer the primary
}
_BY_CLASS = {
    "08": Failure.CONNECTION_LOST,
    "22": Failure.DATA,
    "23": Failure.DATA,
    "53": Failure.RESOURCES,
    "57": Failure.CONNECTION_LOST,
}


def classify(error: BaseException) -> Failure:
    """Return what *error* asks of its caller; an unknown error is `OTHER`."""
    match error:
        case Unavailable(failure=failure):
            return failure
        case OperationalError():
            return Failure.RESOURCES  # whatever it is, it is nobody's data
        case asyncpg.PostgresError(sqlstate=str(sqlstate)):
            return _BY_SQLSTATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], Failure.OTHER)
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            return Failure.DATA  # the driver could not encode an argument
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError():
            return Failure.CONNECTION_LOST  # OSError covers ConnectionError and TimeoutError
        case _:
            return Failure.OTHER


def unfinished(error: BaseException) -> Unavailable | None:
    """Return the operational error that the database's *error* is, or None where it is another failure."""
    failure = classify(error)
    return (
        Unavailable("The database could not finish the request.", failure=failure) if failure in _OPERATIONAL else None
    )


def operational(error: BaseException) -> OperationalError | None:
    """Return *error* where it is operational, or what the server's own error makes of it; None for any other error."""
    match error:
        case OperationalError():
            return error
        case asyncpg.PostgresError():
            return unfinished(error)
        case _:
            return None
