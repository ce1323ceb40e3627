"""Decisions of the fraud service become restrictions, each once; an operator's later change takes precedence.

A decision is submitted to the committer under a key made of its id, so that a crash before the checkpoint moves finds
the first outcome. Its id is stored beside that checkpoint and never deleted, so that no later replay acts on it again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, assert_never
from uuid import UUID

import structlog

from contracts.decisions import DECISION_STREAM, DecisionMade, DecisionMode, DecisionOutcome
from contracts.envelope import Envelope
from contracts.ids import parse_id
from servicekit.clock import monotonic_s
from servicekit.consumer.projection import ProjectionError
from servicekit.failures import Unavailable
from servicekit.postgres import Transaction
from servicekit.principal import client_of
from wallet.application.metrics import FraudDecisionMetrics
from wallet.application.units import (
    AheadOfClock,
    Deferred,
    Forbidden,
    KeyReused,
    NotFound,
    Outcome,
    Refused,
    Stored,
    Unit,
    fingerprint,
)
from wallet.domain.mandate import platform_mandate
from wallet.domain.outcomes import RefusalCode
from wallet.domain.restrictions import FreezeWallet
from wallet.domain.wallets import FRAUD
from wallet.fraud_restrictions.log_postgres import Disposition, PostgresDecisionLog, SettledDecision

_log = structlog.get_logger(__name__)

REASON_CHARACTERS_MAX: Final = 500
_ROUTE: Final = "fraud_decision"


class FraudRestrictions:
    """Consumes `fraud.decisions`. *name* is the consumer group and the checkpoints' name."""

    name = "wallet_decisions"

    def __init__(
        self,
        submit: Callable[[Unit], "asyncio.Future[Outcome]"],
        log: PostgresDecisionLog,
        *,
        topic: str,
        deadline_s: float,
        metrics: FraudDecisionMetrics,
    ) -> None:
        self.topic = topic
        self._submit = submit
        self._log = log
        self._deadline_s = deadline_s
        self._metrics = metrics

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Act on the decisions that are not settled yet, and settle them.

        Raises ProjectionError or EventDataError for an invalid decision, OperationalError while the committer
        cannot take or finish them: then all of *events* is tried again, and what was committed is found under its key.
        """
        decisions: dict[UUID, tuple[Envelope, DecisionMade]] = {}
        for event in events:
            decision = DECISION_STREAM.parse(event.type, event.data)
            decisions.setdefault(_id_of(event, decision), (event, decision))
        settled = await self._log.settled_among(tx, list(decisions))
        fresh = {decision_id: pair for decision_id, pair in decisions.items() if decision_id not in settled}
        dispositions = await asyncio.gather(*(self._act(event, decision) for event, decision in fresh.values()))
        await self._log.add(
            tx,
            [
                _settled(decision_id, event, decision, disposition)
                for (decision_id, (event, decision)), disposition in zip(fresh.items(), dispositions, strict=True)
            ],
        )
        self._metrics.settled(dispositions)

    async def _act(self, event: Envelope, decision: DecisionMade) -> Disposition:
        if decision.mode is not DecisionMode.LIVE or decision.outcome is not DecisionOutcome.BLOCK:
            return Disposition.NOTED
        outcome = await self._submit(self._unit(event, decision))
        match outcome:
            case Stored(result=Refused(code=code)):
                return Disposition.SUPERSEDED if code == RefusalCode.DECISION_SUPERSEDED else Disposition.REFUSED
            case Stored():
                _log.info("decision.applied", decision_id=decision.decision_id, wallet_id=decision.wallet_id)
                return Disposition.APPLIED
            case NotFound():
                raise ProjectionError(f"decision {decision.decision_id} names a wallet that does not exist")
            case Forbidden():
                raise ProjectionError(f"decision {decision.decision_id} is not the platform's to give")
            case Deferred(why=why):
                raise Unavailable(why.detail)
            case AheadOfClock():
                raise Unavailable("The wallet is ahead of the clock.")
            case KeyReused():
                raise ProjectionError(f"another decision was made under the id {decision.decision_id}")
            case _:
                assert_never(outcome)

    def _unit(self, event: Envelope, decision: DecisionMade) -> Unit:
        command = FreezeWallet(event.subject, FRAUD, "debits", _reason(decision), decision.wallet_version)
        now_s = monotonic_s()
        return Unit(
            path=None,
            commands=(command,),
            is_atomic_batch=False,
            mandate=platform_mandate(event.tenant_id),
            actor=FRAUD,
            key=(client_of(event.tenant_id, FRAUD), f"fraud:{decision.decision_id}", 0),
            fingerprint=fingerprint(_ROUTE, (command,)),
            deadline_s=now_s + self._deadline_s,
            traceparent=event.traceparent,
            causation_id=event.event_id,
        )


def _id_of(event: Envelope, decision: DecisionMade) -> UUID:
    decision_id = parse_id(decision.decision_id)
    if decision_id is None or decision.wallet_id != str(event.subject):
        raise ProjectionError("the decision's id is not a valid id, or it is about another wallet than its event")
    return decision_id


def _reason(decision: DecisionMade) -> str:
    reasons = "; ".join(
        f"{each.rule}: {each.measure} {each.value}, at most {each.threshold}" for each in decision.reasons
    )
    return reasons[:REASON_CHARACTERS_MAX] or str(decision.outcome)


def _settled(decision_id: UUID, event: Envelope, decision: DecisionMade, disposition: Disposition) -> SettledDecision:
    return SettledDecision(
        decision_id=decision_id,
        tenant_id=event.tenant_id,
        wallet_id=event.subject,
        judged_version=decision.wallet_version,
        rules_version=decision.rules_version,
        disposition=disposition,
        decided_at=event.time,
    )
