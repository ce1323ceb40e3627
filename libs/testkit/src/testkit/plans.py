"""What PostgreSQL would do for a statement."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from uuid import UUID

from servicekit.postgres import Connection, Pool
from servicekit.tenant_pool import TenantPool

Node = dict[str, Any]
_READING: Final = {"fetch", "fetchrow", "fetchval"}


async def nodes_of(connection: Connection, statement: str, *arguments: Any) -> list[Node]:
    """Return the nodes of the plan that a generic statement has where indexes are used if they can be."""
    async with connection.transaction():
        await connection.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
        plan = await (await connection.prepare(statement)).explain(*arguments)
    return _nodes(plan[0]["Plan"])


class PlanningPool(TenantPool):
    """Lends connections that note the plan of each statement on them in *nodes*."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.nodes: list[Node] = []

    @property
    def indexes(self) -> set[str]:
        """The indexes in the plans so far."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """Lend such a connection."""
        async with super().reading(tenant_id) as connection:
            yield cast("Connection", _Planning(connection, self.nodes))


class _Planning:
    """A connection that notes plans before it reads."""

    def __init__(self, connection: Connection, nodes: list[Node]) -> None:
        self._connection = connection
        self._nodes = nodes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in _READING:
            return method

        async def read(statement: str, *arguments: Any) -> Any:
            self._nodes.extend(await nodes_of(self._connection, statement, *arguments))
            return await method(statement, *arguments)

        return read


def _nodes(node: Node) -> list[Node]:
    return [node, *(below for child in node.get("Plans", []) for below in _nodes(child))]
