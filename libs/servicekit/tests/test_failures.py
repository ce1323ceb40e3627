"""Database errors are told apart by SQLSTATE."""

import asyncpg
import pytest

from servicekit.failures import Failure, PoolExhausted, Unavailable, classify


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (asyncpg.SerializationError("x"), Failure.RETRY),
        (asyncpg.DeadlockDetectedError("x"), Failure.RETRY),
        (asyncpg.LockNotAvailableError("x"), Failure.RETRY),
        (asyncpg.UniqueViolationError("x"), Failure.DATA),
        (asyncpg.CheckViolationError("x"), Failure.DATA),
        (asyncpg.NumericValueOutOfRangeError("x"), Failure.DATA),
        (asyncpg.exceptions._base.DataError("x"), Failure.DATA),
        (asyncpg.AdminShutdownError("x"), Failure.CONNECTION_LOST),
        (asyncpg.CannotConnectNowError("x"), Failure.CONNECTION_LOST),
        (asyncpg.ConnectionDoesNotExistError("x"), Failure.CONNECTION_LOST),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), Failure.CONNECTION_LOST),
        (asyncpg.exceptions.TransactionTimeoutError("x"), Failure.CONNECTION_LOST),
        (asyncpg.ReadOnlySQLTransactionError("x"), Failure.CONNECTION_LOST),
        (asyncpg.InterfaceError("x"), Failure.CONNECTION_LOST),
        (ConnectionResetError(), Failure.CONNECTION_LOST),
        (TimeoutError(), Failure.CONNECTION_LOST),
        (asyncpg.TooManyConnectionsError("x"), Failure.RESOURCES),
        (asyncpg.DiskFullError("x"), Failure.RESOURCES),
        (asyncpg.QueryCanceledError("x"), Failure.RESOURCES),
        (asyncpg.UndefinedTableError("x"), Failure.OTHER),
        (ValueError("x"), Failure.OTHER),
        (PoolExhausted("x"), Failure.RESOURCES),
        (Unavailable("x", failure=Failure.RETRY), Failure.RETRY),
    ],
)
def test_an_error_is_classified(error: BaseException, failure: Failure) -> None:
    assert classify(error) is failure
