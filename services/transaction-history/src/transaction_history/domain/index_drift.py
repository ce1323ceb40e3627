"""What the index's tables have beside what the events say they must have. Pure.

Counters tell nothing of a single event: they are what all events of a shard amount to. So they are added up while a
partition is gone through, and compared once, where all that the index has counted is added up.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from transaction_history.domain.drift import MISSING, UNEXPECTED, Difference, differing
from transaction_history.domain.index_rows import (
    Counterparty,
    CounterpartyKey,
    DayKey,
    HourKey,
    IndexRows,
    SearchRow,
    ShardKey,
    ShardTotal,
    Traffic,
    WalletHour,
)
from transaction_history.domain.touched import Touched

Key = TypeVar("Key", bound=tuple[object, ...] | UUID)
Counted = TypeVar("Counted", WalletHour, Counterparty, Traffic, ShardTotal)

KEYS_MAX: Final = 100_000
"""Of all counters together, some 40 MB. Beyond, every other wallet is left to another round."""
_FIRST: Final = "first_at"
_LAST: Final = "last_at"
_SHARD_BITS: Final = 6
_OF_SHARDS: Final = frozenset({"day_total", "shard_total"})
"""Tables whose keys end in the shard; those of the others begin with a wallet."""


class Held(msgspec.Struct, frozen=True):
    """What is held of a wallet."""

    held_minor: int


class Counters(msgspec.Struct):
    """The counters of some shards, by their keys."""

    hours: dict[HourKey, WalletHour] = {}
    counterparties: dict[CounterpartyKey, Counterparty] = {}
    days: dict[DayKey, Traffic] = {}
    shards: dict[ShardKey, ShardTotal] = {}
    held: dict[UUID, Held] = {}


class Totals:
    """The counters of one partition, added up; of wallets those that are *chosen* in this *turn*.

    Where there are too many keys one wallet in two is let go, and again: *slices* turns make all of them.
    """

    def __init__(self, turn: int, *, keys_max: int = KEYS_MAX) -> None:
        self.counters = Counters()
        self.slices = 1
        self._turn = turn
        self._keys_max = keys_max
        self.held: dict[UUID, int] = {}
        """What is held of wallets, which the next events are folded from."""

    @property
    def wallets(self) -> list[UUID]:
        """The wallets whose counters are added up."""
        counters = self.counters
        ids = {key[0] for key in counters.hours} | {key[0] for key in counters.counterparties} | counters.held.keys()
        return sorted(ids)

    @property
    def is_too_wide(self) -> bool:
        """Whether there are too many keys even without any wallet's."""
        return len(self.counters.days) + len(self.counters.shards) > self._keys_max

    def add(self, rows: IndexRows) -> None:
        """Add what some more events write."""
        counters = self.counters
        self.held.update(rows.held)
        _add(counters.days, rows.days.items())
        _add(counters.shards, rows.shards.items())
        _add(counters.hours, ((key, row) for key, row in rows.hours.items() if self.is_chosen(key[0])))
        _add(
            counters.counterparties, ((key, row) for key, row in rows.counterparties.items() if self.is_chosen(key[0]))
        )
        counters.held.update({key: Held(minor) for key, minor in rows.held.items() if self.is_chosen(key)})
        while self._wallet_keys() > self._keys_max:
            self._let_go()

    def is_chosen(self, wallet_id: UUID) -> bool:
        """Return whether the wallet's counters are added up in this turn."""
        return (wallet_id.int >> _SHARD_BITS) % self.slices == self._turn % self.slices

    def _wallet_keys(self) -> int:
        counters = self.counters
        return len(counters.hours) + len(counters.counterparties) + len(counters.held)

    def _let_go(self) -> None:
        self.slices *= 2
        counters = self.counters
        counters.hours = {key: row for key, row in counters.hours.items() if self.is_chosen(key[0])}
        counters.counterparties = {key: row for key, row in counters.counterparties.items() if self.is_chosen(key[0])}
        counters.held = {key: row for key, row in counters.held.items() if self.is_chosen(key)}


def search_differences(
    expected: Iterable[SearchRow], stored: Iterable[SearchRow], touched: Touched
) -> Iterator[Difference]:
    """Yield where the *stored* entries of the time of the *touched* wallets' events are not as *expected*."""
    there = {(row.wallet_id, row.version): row for row in stored}
    made = set()
    for row in expected:
        key = wallet_id, version = row.wallet_id, row.version
        made.add(key)
        found = there.get(key)
        for column in [MISSING] if found is None else differing(row, found):
            yield Difference(row.shard, row.seq, "search_entry", column, f"{wallet_id}/{version}", wallet_id)
    for (wallet_id, version), row in there.items():
        window = touched.windows[wallet_id]
        if window.is_dense and version in window.versions and (wallet_id, version) not in made:
            yield Difference(row.shard, row.seq, "search_entry", UNEXPECTED, f"{wallet_id}/{version}", wallet_id)


def counter_differences(
    expected: Counters, stored: Counters, positions: Mapping[int, int], shard_of: Callable[[UUID], int]
) -> list[Difference]:
    """Return where *stored* counters are not as *expected*, of the shards that *positions* name, as of these."""
    tables: tuple[tuple[str, Mapping[Any, msgspec.Struct], Mapping[Any, msgspec.Struct]], ...] = (
        ("wallet_hour", expected.hours, stored.hours),
        ("counterparty", expected.counterparties, stored.counterparties),
        ("wallet_held", expected.held, stored.held),
        ("day_total", expected.days, stored.days),
        ("shard_total", expected.shards, stored.shards),
    )
    differences = []
    for table, wanted, found in tables:
        for key in wanted.keys() | found.keys():
            wallet_id = None if table in _OF_SHARDS else key if isinstance(key, UUID) else key[0]
            shard = key[-1] if wallet_id is None else shard_of(wallet_id)
            if shard in positions:
                differences += [
                    Difference(shard, positions[shard], table, column, _text(key), wallet_id)
                    for column in _columns(wanted.get(key), found.get(key))
                ]
    return differences


def _columns(wanted: msgspec.Struct | None, found: msgspec.Struct | None) -> Collection[str]:
    if wanted is None:
        return [UNEXPECTED]
    return [MISSING] if found is None else differing(wanted, found)


def _add(counted: dict[Key, Counted], more: Iterable[tuple[Key, Counted]]) -> None:
    for key, row in more:
        known = counted.get(key)
        if known is None:
            counted[key] = row
            continue
        for name in row.__struct_fields__:
            value, before = getattr(row, name), getattr(known, name)
            if name in {_FIRST, _LAST}:
                setattr(known, name, min(before, value) if name == _FIRST else max(before, value))
            elif name in _ADDED:
                setattr(known, name, before + value)


_ADDED: Final = frozenset(
    {"entries", "credits_minor", "debits_minor", "transactions", "wallets", "posted_minor", "held_minor"}
)
"""The members that are counted; the others are those of the row's first event."""


def _text(key: Sequence[object] | UUID) -> str:
    return str(key) if isinstance(key, UUID) else "/".join(map(str, key))
