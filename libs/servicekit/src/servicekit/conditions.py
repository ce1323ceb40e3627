"""The `where` of a statement whose filters are optional."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Where:
    """The conditions of a statement and the values of its placeholders.

    The statement contains only what is asked for: a plan for every filter at once would read a tenant's every row.
    """

    def __init__(self, columns: Mapping[str, object], prefix: str = "") -> None:
        self._prefix = prefix
        self._conditions: list[str] = []
        self.values: list[object] = []
        for column, value in columns.items():
            if value is not None:
                self.require(f"{prefix}{column} = {self.value(value)}")

    def __str__(self) -> str:
        """Return the clause."""
        return f"where {' and '.join(self._conditions)}"

    def value(self, value: object) -> str:
        """Return the placeholder of *value*, which is given to the statement from now on."""
        self.values.append(value)
        return f"${len(self.values)}"

    def require(self, condition: str) -> None:
        """Add *condition*, which is used as SQL unchanged."""
        self._conditions.append(condition)

    def owners(self, acts_for: Collection[str] | None, compared: str | None = None, *, is_sought: bool = False) -> None:
        """Require that the owner is among *acts_for*, those whose rows the caller may see; None is every owner.

        *compared* is the owner as SQL, by default the column `owner_id`. Rows are found by other columns and then
        compared, in a form that no index serves: a plan that began with the owner would read all that an owner has for
        the sake of one row. With *is_sought* the rows are found by their owner.
        """
        if acts_for is None:
            return
        owner = f"{self._prefix}owner_id" if compared is None else compared
        among = f"{self.value(list(acts_for))}::text[]"
        self.require(f"{owner} = any ({among})" if is_sought else f"{among} @> array[{owner}]")

    def before(self, columns: Sequence[str], position: Sequence[object] | None) -> None:
        """Require that *columns* come before *position*; None is the end of the list, which everything comes before."""
        if position is not None:
            left = ", ".join(f"{self._prefix}{column}" for column in columns)
            self.require(f"({left}) < ({', '.join(self.value(value) for value in position)})")

    def in_order(
        self,
        columns: Sequence[str],
        position: Sequence[object] | None,
        *,
        descending: bool,
        limit: int,
        is_included: bool = False,
    ) -> str:
        """Require that *columns* come behind *position* in their order, or are it if *is_included*; None is its begin.

        Return the clauses that read the first *limit* rows in that order.
        """
        names = [f"{self._prefix}{column}" for column in columns]
        if position is not None:
            values = ", ".join(self.value(value) for value in position)
            behind = f"{'<' if descending else '>'}{'=' if is_included else ''}"
            self.require(f"({', '.join(names)}) {behind} ({values})")
        direction = "desc" if descending else "asc"
        return f"order by {', '.join(f'{name} {direction}' for name in names)} limit {self.value(limit)}"


def where(wanted: "DataclassInstance", *, prefix: str = "", **always: Any) -> Where:
    """Return the conditions that the columns named in *always* equal its values, and those of *wanted* its fields.

    A field that is None does not filter. *prefix* is that of the columns' table, such as `d.`.
    """
    given = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    return Where(always | given, prefix)
