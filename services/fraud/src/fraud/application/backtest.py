"""What a rule file would have decided: the events from the topic's beginning, folded and judged in memory.

Nothing is written. Bounded by events and by wallets; a wallet is left at an event that cannot be folded, as parking
does.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from contracts.envelope import Envelope
from contracts.event_types import EventDataError
from contracts.events import parse_data
from fraud.domain.judge import Decision, step
from fraud.domain.profile import Contradiction, Profile
from fraud.domain.rules import RuleSet
from fraud.domain.wallet_events import WalletEvent, wallet_event
from servicekit.consumer.records import Received


@dataclass(slots=True)
class Backtest:
    """The state of one run; `judge` feeds it. *fired* counts by rule, outcome and mode."""

    rules: RuleSet
    wallets_max: int
    events: int = 0
    decisions: int = 0
    fired: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    broken: set[UUID] = field(default_factory=set)
    _beyond: set[UUID] = field(default_factory=set)
    _profiles: dict[UUID, Profile] = field(default_factory=dict)
    _last: dict[int, int] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """How many wallets were not judged since *wallets_max* were followed already."""
        return len(self._beyond)

    def judge(self, received: Iterable[Received]) -> Iterator[Decision]:
        """Fold and judge what was *received* and not seen before; yield what is decided."""
        for record in received:
            if record.sequence <= self._last.get(record.shard, 0):
                continue
            self._last[record.shard] = record.sequence
            self.events += 1
            decision = self._step(record)
            if decision is not None:
                self.decisions += 1
                self.fired.update((each.rule, each.outcome.value, each.mode.value) for each in decision.reasons)
                yield decision

    def _step(self, record: Received) -> Decision | None:
        event, known = record.event, self._profiles.get(record.subject)
        if record.subject in self.broken or record.subject in self._beyond:
            return None
        try:
            reduced = _wallet_event(event)
            if reduced is None:
                return None
            after, decision = step(known, reduced, self.rules)
        except (EventDataError, Contradiction):
            self._profiles.pop(record.subject, None)
            self.broken.add(record.subject)
            return None
        if known is None and len(self._profiles) >= self.wallets_max:
            self._beyond.add(record.subject)
            return None
        self._profiles[record.subject] = after
        return decision


def _wallet_event(event: Envelope | None) -> WalletEvent | None:
    if event is None:
        raise EventDataError("its envelope cannot be read")
    return wallet_event(event, parse_data(event.type, event.data))


async def run_backtest(
    backtest: Backtest,
    polls: AsyncIterator[list[Received]],
    *,
    events_max: int,
    on_decision: Callable[[Decision], None],
    progress: Callable[[Backtest], None],
) -> bool:
    """Judge *polls* until they end or *events_max* is reached; return whether all of them were judged.

    *on_decision* is called with each decision, *progress* with the state after each poll.
    """
    async for received in polls:
        for decision in backtest.judge(received):
            on_decision(decision)
        progress(backtest)
        if backtest.events >= events_max:
            return False
    return True
