"""Whether an acknowledged commit survives a crash: the database's settings, looked at and not believed."""

from typing import Final

from servicekit.postgres import Connection

_SAFE: Final = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "remote_apply"}),
}
"""What each setting may be. `local` and `remote_write` do not wait for a standby to have the commit on its disk."""
_READ: Final = "select " + ", ".join(f"current_setting('{name}')" for name in _SAFE)


async def unsafe_settings(connection: Connection) -> list[str]:
    """Return the settings, `name = value` each, under which this session's acknowledged money could be lost."""
    row = await connection.fetchrow(_READ)
    assert row is not None
    return [
        f"{name} = {value}"
        for (name, safe), value in zip(_SAFE.items(), row.values(), strict=True)
        if value not in safe
    ]
