"""A wallet's row derived from its journal: what archiving leaves behind, and what a rebuild compares with."""

from collections.abc import Iterable, Mapping

from contracts.event_types import EventDataError
from wallet.domain.facts import Fact, JournalBreachError, JournalEvent
from wallet.domain.wallets import Wallet


class Folding:
    """Carries out the facts of a journal. *facts* are all kinds that it may hold."""

    def __init__(self, facts: Iterable[type[Fact]]) -> None:
        self._facts: Mapping[int, type[Fact]] = {fact.event.number: fact for fact in facts}

    def fold(self, before: Wallet | None, event: JournalEvent) -> Wallet:
        """Return the wallet after *event*, *before* being what the events before it made; raises JournalBreachError."""
        fact = self._read(event)
        if before is None and not fact.opens:
            raise JournalBreachError(f"wallet {event.account_id}: version {event.version} comes before its opening")
        if before is not None and fact.opens:
            raise JournalBreachError(f"wallet {event.account_id}: opened again at version {event.version}")
        after = fact.evolve(before, event.occurred_at)
        said = (event.version, event.posted_after, event.held_after)
        if (after.version, after.posted_minor, after.held_minor) != said:
            raise JournalBreachError(
                f"wallet {event.account_id}: version {event.version} says {event.posted_after} posted and "
                f"{event.held_after} held, its journal makes version {after.version}, {after.posted_minor} and "
                f"{after.held_minor}"
            )
        return after

    def _read(self, event: JournalEvent) -> Fact:
        kind = self._facts.get(event.type)
        if kind is None:
            raise JournalBreachError(f"wallet {event.account_id}: version {event.version} is of no known type")
        try:
            return kind.read(event)
        except EventDataError as error:
            raise JournalBreachError(str(error)) from error
