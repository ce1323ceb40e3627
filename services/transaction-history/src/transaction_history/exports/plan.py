"""The statement of an export: a scan of so many rows, and which of them are wanted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from transaction_history.domain.exports import ExportFilters
from transaction_history.exports.dataset import Column, Dataset, Form
from transaction_history.jobs.rows import Snapshot

_KEY: Final = "key_"


class Plan:
    """The statements of one file, which differ in where they begin: *columns* of what *filters* let through.

    *given* are values that the dataset's SQL names, besides {owners}, those the caller acts for, {about}, those of them
    that are asked about, and {as_of}.
    """

    def __init__(
        self,
        dataset: Dataset,
        columns: Sequence[Column],
        filters: ExportFilters,
        *,
        tenant_id: UUID,
        owners: Sequence[str] | None,
        seen: Snapshot,
        given: Mapping[str, object] | None = None,
    ) -> None:
        self.dataset = dataset
        self.seen = seen
        self.columns = columns
        self.has_private = any(column.form is Form.PRIVATE for column in columns)
        self._values: list[object] = []
        self._given: dict[str, object] = {
            "owners": None if owners is None else list(owners),
            "about": _about(owners, filters.owner_id),
            "as_of": list(seen.as_of),
            **(given or {}),
        }
        self._places: dict[str, str] = {}
        self._tenant = self._value(tenant_id)
        self._limit = self._value(0)
        self._inside = self._narrowing(filters)
        self._wanted = " and ".join(self._conditions(filters, seen))
        self._joins = self._filled(dataset.joins)
        self._selected = self._columns()
        self._order = msgspec.json.Decoder(tuple[*(kind for _, kind in dataset.keys)])  # type: ignore[misc]  # made of the dataset's keys

    def statement(self, after: str | None, limit: int) -> tuple[str, list[object]]:
        """Return the statement that scans *limit* rows behind *after*, and its values.

        It gives the rows that are wanted, and the last one that was scanned in any case, in order.
        """
        values, inside = [*self._values], [*self._inside]
        values[int(self._limit[1:]) - 1] = limit
        if after is not None:
            places = []
            for value in self._order.decode(after):
                values.append(value)
                places.append(f"${len(values)}")
            inside.append(self.dataset.after.format(*places))
        scan = self.dataset.scan.format(where=" and ".join(inside))
        keys = ", ".join(f"s.{name} as {_KEY}{name}" for name, _ in self.dataset.keys)
        query = f"""
            with scanned as materialized (
                select every.*, row_number() over () as place from ({scan} limit {self._limit}) as every
            ), ended as (select max(place) as place from scanned)
            select {self._selected}, {keys}, s.place, ({self._wanted}) as is_wanted
            from scanned as s {self._joins}
            where ({self._wanted}) or s.place = (select place from ended) order by s.place"""
        return query, values

    def place_of(self, row: Any) -> str:
        """Return the place of *row* in the order, as JSON that `statement` takes."""
        return msgspec.json.encode([_plain(row[f"{_KEY}{name}"]) for name, _ in self.dataset.keys]).decode()

    def _columns(self) -> str:
        read = [self._sql_of(column, place) for place, column in enumerate(self.columns)]
        if self.has_private:
            read += ["s.private as private", "s.owner_id as owner_of_row"]
        return ", ".join([*read, "s.currency as currency_of_row"])

    def _sql_of(self, column: Column, place: int) -> str:
        given = "null" if column.form is Form.PRIVATE else self._filled(column.sql)
        return f"{given} as c{place}"

    def _narrowing(self, filters: ExportFilters) -> list[str]:
        inside = [f"{self.dataset.tenant} = {self._tenant}"]
        if self._given["owners"] is not None:
            inside.append(self._filled(f"{self.dataset.owner} = any ({{owners}}::text[])"))
        if filters.owner_id:
            inside.append(f"{self.dataset.owner} = any ({self._value(list(filters.owner_id))}::text[])")
        if filters.wallet_id:
            ids = self._value([UUID(text) for text in filters.wallet_id])
            inside.append(self.dataset.wallets.format(ids=ids, tenant=self._tenant))
        return inside

    def _conditions(self, filters: ExportFilters, seen: Snapshot) -> list[str]:
        conditions = [self._filled(self.dataset.existed)]
        if seen.parked and self.dataset.is_of_wallets:
            conditions.append(f"s.wallet_id <> all ({self._value(list(seen.parked))}::uuid[])")
        for name, value in msgspec.structs.asdict(filters).items():
            if name != "owner_id" and value not in ((), None):
                given = [_id_or_text(name, text) for text in value] if isinstance(value, tuple) else value
                conditions.append(self.dataset.filters[name].format(self._value(given)))
        return conditions

    def _filled(self, sql: str) -> str:
        """Return *sql* with the places of what it names; what no part of the statement names is not given to it."""
        for name, value in self._given.items():
            if f"{{{name}}}" in sql:
                if name not in self._places:
                    self._places[name] = self._value(value)
                sql = sql.replace(f"{{{name}}}", self._places[name])
        return sql

    def _value(self, value: object) -> str:
        self._values.append(value)
        return f"${len(self._values)}"


def _about(owners: Sequence[str] | None, asked: Sequence[str]) -> list[str]:
    if owners is None:
        return list(asked)
    return [owner for owner in owners if not asked or owner in asked]


def _id_or_text(name: str, text: str) -> UUID | str:
    return UUID(text) if name.endswith("wallet_id") else text


def _plain(value: Any) -> Any:
    return UUID(int=value.int) if isinstance(value, UUID) else value
