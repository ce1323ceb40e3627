"""A process talks to PostgreSQL itself: a session that is shared has neither its bounds nor its tenant to itself."""

from contextlib import suppress
from typing import Final

from servicekit.lifecycle import CannotStart
from servicekit.postgres import DRIVER_ERRORS, SESSION_SETTINGS, connect

_ADVICE: Final = "give the process PostgreSQL's own address, and bound its connections by the settings of its pools"
_PROTOCOL_VIOLATION: Final = "08P01"
_LOOK: Final = "select pg_backend_pid() as pid, current_setting('lock_timeout') as lock_timeout"


class BehindPooler(CannotStart):
    """What answers at the database's address is no PostgreSQL, but shares its connections among clients."""


async def refuse_pooler(dsn: str, *, application: str) -> None:
    """Raise BehindPooler where a pooler, such as pgbouncer, stands before the database at *dsn*.

    It refuses a session's settings or drops them, or has another process behind it than the one it told of. A database
    that cannot be reached is found out by whoever needs it.
    """
    try:
        connection = await connect(dsn, application_name=f"{application}-start")
    except (*DRIVER_ERRORS, OSError) as error:
        if getattr(error, "sqlstate", None) == _PROTOCOL_VIOLATION:
            refused = f"a pooler before the database refuses a session's settings ({error}): {_ADVICE}"
            raise BehindPooler(refused) from None
        return
    try:
        with suppress(*DRIVER_ERRORS, OSError):
            row = await connection.fetchrow(_LOOK)
            assert row is not None, "a select without rows"
            if row["pid"] != connection.get_server_pid() or row["lock_timeout"] != SESSION_SETTINGS["lock_timeout"]:
                raise BehindPooler(f"a pooler before the database shares sessions and loses their settings: {_ADVICE}")
    finally:
        connection.terminate()
