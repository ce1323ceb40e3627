"""Rows derived from the journal: what archiving leaves behind, and what a rebuild compares with."""

from collections.abc import Iterable, Mapping, Sequence

from contracts.event_types import EventDataError
from wallet.domain.facts import Fact, JournalBreachError, JournalEvent, RowFact
from wallet.domain.rows import RowKind, Rows, StateRow, UnnamedRowError
from wallet.domain.wallets import Wallet


class Folding:
    """Carries out the facts of a journal. *facts* are all that it may hold, *kinds* the rows that they may make."""

    def __init__(self, facts: Iterable[type[Fact | RowFact]], kinds: Iterable[RowKind]) -> None:
        self.kinds = tuple(kinds)
        self._facts: Mapping[int, type[Fact | RowFact]] = {fact.event.number: fact for fact in facts}

    def fold(self, rows: Rows, event: JournalEvent) -> None:
        """Take *rows*, which the events before it made, to what they are after *event*; raises JournalBreachError."""
        fact = self._read(event)
        if isinstance(fact, RowFact):
            self._fold_row(rows, fact, event)
            return
        before = rows.get(event.account_id)
        assert before is None or isinstance(before, Wallet)
        if before is None and not fact.opens:
            raise JournalBreachError(f"wallet {event.account_id}: version {event.version} comes before its opening")
        if before is not None and fact.opens:
            raise JournalBreachError(f"wallet {event.account_id}: opened again at version {event.version}")
        states = _states_after(fact, rows, event) if fact.changes_states else ()
        after = fact.evolve(before, event.occurred_at)
        said = (event.version, event.posted_after, event.held_after)
        if (after.version, after.posted_minor, after.held_minor) != said:
            raise JournalBreachError(
                f"wallet {event.account_id}: version {event.version} says {event.posted_after} posted and "
                f"{event.held_after} held, its journal makes version {after.version}, {after.posted_minor} and "
                f"{after.held_minor}"
            )
        rows.update((state.name, state) for state in states)
        rows[after.id] = after

    def _fold_row(self, rows: Rows, fact: RowFact, event: JournalEvent) -> None:
        before = rows.get(fact.name)
        assert before is None or isinstance(before, StateRow)
        after = fact.evolve(before, event.occurred_at)
        if after.version != event.version:
            raise JournalBreachError(f"row {event.account_id}: version {event.version} should be {after.version}")
        rows[fact.name] = after

    def _read(self, event: JournalEvent) -> Fact | RowFact:
        kind = self._facts.get(event.type)
        if kind is None:
            raise JournalBreachError(f"wallet {event.account_id}: version {event.version} is of no known type")
        try:
            return kind.read(event)
        except EventDataError as error:
            raise JournalBreachError(str(error)) from error


def _states_after(fact: Fact, rows: Rows, event: JournalEvent) -> Sequence[StateRow]:
    try:
        return fact.evolve_states(rows, event.occurred_at)
    except UnnamedRowError as error:
        missing = f"wallet {event.account_id}: version {event.version} changes {error.name}, which nothing made"
        raise JournalBreachError(missing) from error
