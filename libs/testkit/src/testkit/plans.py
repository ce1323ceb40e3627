"""What PostgreSQL would do for a statement."""

from typing import Any

from servicekit.postgres import Connection

Node = dict[str, Any]


async def nodes_of(connection: Connection, statement: str, *arguments: Any) -> list[Node]:
    """Return the nodes of the plan that a generic statement has where indexes are used if they can be."""
    async with connection.transaction():
        await connection.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
        plan = await (await connection.prepare(statement)).explain(*arguments)
    return _nodes(plan[0]["Plan"])


def _nodes(node: Node) -> list[Node]:
    return [node, *(below for child in node.get("Plans", []) for below in _nodes(child))]
