"""The rows that the newest events write to, in two schemas: compared key by key, so that it takes no time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from contracts.events import EntryPosted, HoldCaptured, OwnerChanged, PolicyChanged, SystemEntryPosted
from servicekit.postgres import Connection
from transaction_history.domain.touched import Parsed, touched

_PORTION: Final = 5_000
_NULLABLE: Final = frozenset({"counterparty_wallet_id", "counterparty_account"})


@dataclass(slots=True)
class Keys:
    """Keys of *table*: *columns* with their types, which need not be all of a key, and *values* in their order."""

    table: str
    columns: dict[str, str]
    values: set[tuple[Any, ...]] = field(default_factory=set)


class Tail:
    """What a run of events wrote to: their keys, by table."""

    def __init__(self) -> None:
        self.events = 0
        self.keys: dict[str, Keys] = {}

    def add(self, events: int, keys: Iterable[Keys]) -> None:
        """Add the *keys* of so many more *events*."""
        self.events += events
        for each in keys:
            self.keys.setdefault(each.table, Keys(each.table, each.columns)).values.update(each.values)


def ledger_keys(parsed: list[Parsed]) -> list[Keys]:
    """Return what *parsed* events write to in the ledger's tables."""
    seen = touched(parsed)
    by_version = {
        (event.subject, event.time, event.wallet_version)
        for event, data in parsed
        if not isinstance(data, SystemEntryPosted | OwnerChanged | PolicyChanged)
    }
    system = {(e.transaction_id, e.entry_index) for e, data in parsed if isinstance(data, SystemEntryPosted)}
    place = {"wallet_id": "uuid", "occurred_at": "timestamptz", "version": "bigint"}
    return [
        Keys("wallet", {"wallet_id": "uuid"}, {(wallet_id,) for wallet_id in seen.windows}),
        Keys("entry", place, set(by_version)),
        Keys("state_change", place, set(by_version)),
        Keys("system_entry", {"transaction_id": "uuid", "entry_index": "smallint"}, set(system)),
        Keys("transaction", {"transaction_id": "uuid"}, {(each,) for each in seen.transactions}),
        Keys("hold", {"wallet_id": "uuid", "hold_id": "uuid"}, set(seen.holds)),
        Keys("balance_day", {"wallet_id": "uuid", "day": "date"}, set(seen.days)),
    ]


def index_keys(parsed: list[Parsed]) -> list[Keys]:
    """Return what *parsed* events write to in the index's tables."""
    search = Keys("search_entry", {"wallet_id": "uuid", "occurred_at": "timestamptz", "event_id": "uuid"})
    hours = Keys("wallet_hour", {"wallet_id": "uuid", "hour": "timestamptz"})
    others = Keys(
        "counterparty", {"wallet_id": "uuid", "counterparty_wallet_id": "uuid", "counterparty_account": "text"}
    )
    days = Keys("day_total", {"tenant_id": "uuid", "day": "date", "shard": "smallint"})
    shards = Keys("shard_total", {"tenant_id": "uuid", "shard": "smallint"})
    held = Keys("wallet_held", {"wallet_id": "uuid"})
    for event, data in parsed:
        at = event.time.astimezone(UTC)
        search.values.add((event.subject, event.time, event.event_id))
        hours.values.add((event.subject, at.replace(minute=0, second=0, microsecond=0)))
        days.values.add((event.tenant_id, at.date(), event.shard))
        shards.values.add((event.tenant_id, event.shard))
        held.values.add((event.subject,))
        if isinstance(data, EntryPosted | HoldCaptured) and (other := data.counterparty) is not None:
            others.values.add((event.subject, other.wallet_id, other.system_account))
    return [search, hours, others, days, shards, held]


async def differing_tables(connection: Connection, tail: Tail, one: str, other: str) -> dict[str, int]:
    """Return the tables whose rows of *tail* are not the same in both schemas, with how many are in one alone."""
    found = {}
    for keys in tail.keys.values():
        values, differ = list(keys.values), 0
        for begin in range(0, len(values), _PORTION):
            portion = values[begin : begin + _PORTION]
            rows = [await _rows(connection, schema, keys, portion) for schema in (one, other)]
            differ += len(rows[0] ^ rows[1])
        if differ:
            found[f"newest rows of {keys.table}"] = differ
    return found


async def _rows(connection: Connection, schema: str, keys: Keys, values: list[tuple[Any, ...]]) -> set[str]:
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(keys.columns.values(), start=1))
    joined = " and ".join(
        f"t.{name} is not distinct from k.{name}" if name in _NULLABLE else f"t.{name} = k.{name}"
        for name in keys.columns
    )
    columns = [list(column) for column in zip(*values, strict=True)]
    query = f"""
        select t::text as row from {schema}.{keys.table} as t
        join unnest({arrays}) as k ({", ".join(keys.columns)}) on {joined}"""
    return {record["row"] for record in await connection.fetch(query, *columns)}
