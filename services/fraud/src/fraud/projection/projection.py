"""The fraud projection: a poll's events are folded and judged in memory, and written in few statements."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import parse_data
from fraud.application.metrics import FraudMetrics
from fraud.domain.advancing import version_advances
from fraud.domain.judge import Decision, step, unless_stale
from fraud.domain.profile import Profile
from fraud.domain.rules import RuleSet
from fraud.domain.wallet_events import WalletEvent, to_us, wallet_event
from fraud.projection.store_postgres import PostgresStore
from servicekit.clock import utc_now
from servicekit.postgres import Transaction

PROJECTION: Final = "fraud"
"""The projection's name: its consumer group and its checkpoints' name."""

_US_PER_S: Final = 1_000_000


class RulesInForce(Protocol):
    """Where the rules of the moment come from."""

    async def rules(self, tx: Transaction) -> RuleSet:
        """Return the rules in force, which are in the database when a decision names them."""
        ...


class FraudProjection:
    """Keeps profiles, and decides where rules fire. One set of rules judges a whole poll.

    What is decided at an event that is older than *live_for* is in shadow: a projector that catches up, or is built
    anew under other rules, freezes nobody for what was long ago.
    """

    def __init__(
        self,
        store: PostgresStore,
        *,
        in_force: RulesInForce,
        topic: str,
        live_for: timedelta,
        now: Callable[[], datetime] = utc_now,
        metrics: FraudMetrics | None = None,
    ) -> None:
        self._store = store
        self._live_for = live_for
        self._now = now
        self._in_force = in_force
        self._metrics = metrics
        self.name = PROJECTION
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Fold and judge *events*; raises EventDataError or Contradiction, naming the first that cannot be."""
        wallet_events = [each for event in events if (each := wallet_event(event, parse_data(event.type, event.data)))]
        if not wallet_events:
            return
        advanced = await self._store.advance_versions(tx, version_advances(wallet_events))
        decisions = await self._judge(tx, [event for event in wallet_events if event.wallet_id not in advanced])
        self._count(wallet_events, decisions)

    async def _judge(self, tx: Transaction, wallet_events: Sequence[WalletEvent]) -> Sequence[Decision]:
        if not wallet_events:
            return ()
        known = await self._store.profiles(tx, {event.wallet_id for event in wallet_events})
        changed, decided = run(known, wallet_events, await self._in_force.rules(tx))
        not_before_us = to_us(self._now() - self._live_for)
        decisions = [unless_stale(decision, not_before_us=not_before_us) for decision in decided]
        await self._store.add_profiles(tx, [each for each in changed if each.wallet_id not in known])
        await self._store.update_profiles(tx, [each for each in changed if each.wallet_id in known])
        await self._store.add_decisions(tx, decisions)
        return decisions

    def _count(self, wallet_events: Iterable[WalletEvent], decisions: Iterable[Decision]) -> None:
        if self._metrics is None:
            return
        for type_name, count in Counter(event.envelope.type for event in wallet_events).items():
            self._metrics.folded(type_name, count)
        now_us = to_us(self._now())
        for decision in decisions:
            self._metrics.decided(decision, max(0, now_us - decision.trigger.at_us) / _US_PER_S)


def run(
    known: Mapping[UUID, Profile], wallet_events: Iterable[WalletEvent], rules: RuleSet
) -> tuple[list[Profile], list[Decision]]:
    """Return the profiles that *wallet_events* changes, each once as it ends, and what is decided on the way."""
    changed: dict[UUID, Profile] = {}
    decisions = []
    for event in wallet_events:
        profile = changed.get(event.wallet_id) or known.get(event.wallet_id)
        changed[event.wallet_id], decision = step(profile, event, rules)
        if decision is not None:
            decisions.append(decision)
    # In one order for all, so that two writers never wait for each other in a circle.
    return sorted(changed.values(), key=lambda profile: profile.wallet_id), decisions
