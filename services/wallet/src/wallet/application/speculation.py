"""What the committer knows of rows without holding a lock on them, so that it can decide ahead of the database.

What it knows is a guess that the database checks: a batch decided on it commits only if every row that it names still
has the stamp it had when it was read or written, and if its keys are free. Where the guess is wrong nothing is written.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from wallet.application.plan import BatchPlan
from wallet.application.recent import Recent
from wallet.application.rows import BatchInput, KeyRecord, KnownRow
from wallet.application.units import Unit, UnitKey, keys_of
from wallet.domain.owners import owner_names
from wallet.domain.policy import policy_name
from wallet.domain.rows import RowName, Rows
from wallet.domain.wallets import Wallet

ROWS_MAX: Final = 100_000
ACKNOWLEDGED_MAX: Final = 200_000
CLOCK_AGE_MAX_S: Final = 1.0
"""Beyond this the database's clock is read anew rather than reckoned on from its last reading."""
RECKONING_ERROR_MAX: Final = timedelta(seconds=1)
"""A reading takes its time to arrive, and two clocks drift apart."""
BACKOFF_BATCHES_MAX: Final = 256


class Speculation:
    """What is known: rows, the keys that this process saw committed, and the database's clock.

    The rows are as they will be once the batches in flight are committed.
    """

    def __init__(self) -> None:
        self.rows: Recent[RowName, KnownRow] = Recent(ROWS_MAX)
        self._acknowledged: Recent[int, bool] = Recent(ACKNOWLEDGED_MAX)  # by hash: a look-up tells which they are
        self._claims_in_flight: set[UnitKey] = set()
        self._now: datetime | None = None
        self._read_at_s = 0.0
        self._backoff_batches = 0
        self._conflicts = 0

    def backs_off(self) -> bool:
        """Return whether the next batch is to be decided on locked rows, and count it.

        With other writers on the same rows the next guess would be wrong again.
        """
        if self._backoff_batches == 0:
            return False
        self._backoff_batches -= 1
        return True

    def has_claims_in_flight(self, units: Sequence[Unit]) -> bool:
        """Return whether a batch in flight writes a key that *units* hold too: then it is to be waited for."""
        in_flight = self._claims_in_flight
        return bool(in_flight) and any(unit.claim is not None and unit.claim.key in in_flight for unit in units)

    def is_acknowledged(self, key: UnitKey) -> bool:
        """Return whether this process saw a commit acknowledged that wrote *key*, as far as it remembers.

        Such a record never changes and is never lost: a plain read is enough to answer by it.
        """
        return hash(key) in self._acknowledged

    def time_at(self, at_s: float) -> datetime | None:
        """Return the database's time *at_s* (monotonic), or None if it was read too long ago."""
        if self._now is None or at_s - self._read_at_s > CLOCK_AGE_MAX_S:
            return None
        return self._now + timedelta(seconds=at_s - self._read_at_s)

    def decided(self, plan: BatchPlan) -> None:
        """Take over the rows as *plan* leaves them."""
        self.rows.update(plan.after)
        self._claims_in_flight |= plan.claimed

    def acknowledged(self, plan: BatchPlan, units: Sequence[Unit]) -> None:
        """Note that *plan* is committed: every key of *units* has a record now, but those that it left free.

        What another process writes under such a key later may have been acknowledged by nobody.
        """
        keys, free = keys_of(units), plan.free_keys
        self._acknowledged.update({hash(key): True for key in (keys if not free else {*keys} - {*free})})
        self._claims_in_flight -= plan.claimed

    def unknown(self, keys: Iterable[UnitKey]) -> None:
        """Note that *keys* have no record: it was deleted since, or was never written."""
        self._acknowledged.discard(map(hash, keys))

    def invalidate(self, plan: BatchPlan) -> None:
        """Drop all that *plan*, which was not written or may not have been, was decided on or would have made."""
        self.rows.discard([*plan.expected, *plan.after])
        self._claims_in_flight -= plan.claimed
        self._now = None

    def confirm(self) -> None:
        """Note that the database found everything as it was guessed."""
        self._conflicts = 0

    def back_off(self) -> None:
        """Decide on locked rows for a while: longer with each guess that was wrong, until one is confirmed."""
        self._conflicts = min(self._conflicts + 1, BACKOFF_BATCHES_MAX.bit_length() - 1)
        self._backoff_batches = 2**self._conflicts

    def read_clock(self, now: datetime, at_s: float) -> None:
        """Take the database's time *now*, read at *at_s* (monotonic).

        Time does not go back for what is only an error of the reckoning; a clock that was set back is followed.
        """
        if self._now is not None:
            reckoned = self._now + timedelta(seconds=at_s - self._read_at_s)
            if now < reckoned <= now + RECKONING_ERROR_MAX:
                now = reckoned
        self._now, self._read_at_s = now, at_s


class Unread(NamedTuple):
    """What is to be read before some units can be decided."""

    names: set[RowName]
    keys: set[UnitKey]


class Gathering:
    """What is known for one batch, gathered in rounds: rows that are read may name others."""

    def __init__(self, units: Sequence[Unit], known: Speculation) -> None:
        self._units = units
        self._known = known
        self._rows = Rows()
        self._stamps: dict[RowName, int | None] = {}
        self._keys: dict[UnitKey, KeyRecord] = {}
        self._looked_up: set[UnitKey] = set()
        self.reads = 0

    def unread(self) -> Unread:
        """Take what is known of all that the units name, of their tenants' policies and owners; return what is not."""
        rows, stamps = self._rows, self._stamps
        known, is_acknowledged = self._known.rows.get, self._known.is_acknowledged
        names: set[RowName] = set()
        keys: set[UnitKey] = set()
        tenants: set[UUID] = set()
        for unit in self._units:
            if (unit.claim is not None or is_acknowledged(unit.key)) and self._is_repeat(unit, keys):
                continue
            tenants.add(unit.mandate.tenant_id)
            for command in unit.commands:
                links = 1
                while links:  # a row that is known may name others
                    links = 0
                    for name in command.names(rows):
                        if name in stamps:
                            continue
                        found = known(name)
                        if found is None:
                            names.add(name)
                            continue
                        # Under the name that the row itself has: it is of the driver's type, whose hash costs little.
                        row = found.row
                        own_name = row.id if isinstance(row, Wallet) else name
                        rows[own_name], stamps[own_name] = row, found.stamp
                        links += own_name is name
        names |= self._unread_of(map(policy_name, tenants))
        for tenant_id in tenants:
            names |= self._unread_of(owner_names(rows, tenant_id))
        return Unread(names, keys)

    def _unread_of(self, names: Iterable[RowName]) -> set[RowName]:
        """Take what is known of the rows of those *names*; return the names of the others."""
        unread: set[RowName] = set()
        for name in names:
            if name in self._stamps:
                continue
            found = self._known.rows.get(name)
            if found is None:
                unread.add(name)
            else:
                self._rows[name], self._stamps[name] = found.row, found.stamp
        return unread

    @property
    def names(self) -> set[RowName]:
        """The names of all rows that were taken so far."""
        return set(self._stamps)

    def add(self, unread: Unread, found: BatchInput, at_s: float) -> None:
        """Take what was *found*, read at *at_s* (monotonic)."""
        self.reads += 1
        self._rows.update(found.rows)
        self._stamps.update(found.stamps)
        self._keys.update(found.keys)
        self._looked_up.update(unread.keys)
        self._known.unknown(key for key in unread.keys if key not in found.keys)
        self._known.read_clock(found.now, at_s)

    def given(self, now: datetime) -> BatchInput:
        """Return all of it as the input of a plan."""
        return BatchInput(self._rows, self._stamps, self._keys, now)

    def _is_repeat(self, unit: Unit, keys: set[UnitKey]) -> bool:
        """Return whether *unit* is answered by a record, so that no row is needed; add to *keys* what to look up."""
        if unit.claim is not None:
            self._look_up(unit.claim.key, keys)
        return self._look_up(unit.key, keys)

    def _look_up(self, key: UnitKey, keys: set[UnitKey]) -> bool:
        if not self._known.is_acknowledged(key):
            return key in self._keys
        if key not in self._looked_up:
            keys.add(key)
        return True
