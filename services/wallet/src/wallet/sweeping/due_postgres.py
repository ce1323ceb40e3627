"""Which rows of `wallet.state` are due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from servicekit.postgres import Connection

LOT_MAX: Final = 512
_DUE: Final = """
    select s.id, s.tenant_id, s.due_at, extract(epoch from clock_timestamp() - s.due_at)::float8 as late_s
      from wallet.state s
     where s.kind = $1 and s.status = 0 and s.due_at <= clock_timestamp()
       and ($3::timestamptz is null or (s.due_at, s.id) > ($3, $4::uuid)) and s.due_at >= coalesce($3, '-infinity')
     order by s.due_at, s.id limit $2"""


class Due(NamedTuple):
    """A row that is due since *due_at*, *late_s* seconds ago."""

    id: UUID
    tenant_id: UUID
    due_at: datetime
    late_s: float


async def due_rows(connection: Connection, kind: int, *, behind: Due | None = None) -> Sequence[Due]:
    """Return the LOT_MAX open rows of *kind* that are due the longest by the database's clock, *behind* a given one."""
    place = (None, None) if behind is None else (behind.due_at, behind.id)
    return [Due(*row) for row in await connection.fetch(_DUE, kind, LOT_MAX, *place)]
