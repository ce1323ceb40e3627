"""The routes of risk: wallets, decisions, and the rules behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response
from pydantic import WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from contracts import problems, scopes
from contracts.decisions import DecisionMode, DecisionOutcome
from fraud.entrypoints.bodies import (
    DecisionBody,
    DecisionsBody,
    RulesBody,
    WalletRiskBody,
    decision_body,
    rules_body,
    wallet_risk_body,
)
from fraud.reads.queries import DecisionUnknown, RiskQueries, WalletUnknown
from fraud.reads.reads_postgres import DecisionFilter
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.problems import ProblemMap, raises_as_problems
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.paging import Page, paged
from servicekit.http.routes.parsing import filtered_id, path_id
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from servicekit.read_model.projected import SubjectParked

# A query has no null: a parameter is left out.
Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
WalletId = Annotated[Id | SkipJsonSchema[None], Query(description="Only decisions about this wallet.")]
Outcome = Annotated[DecisionOutcome | SkipJsonSchema[None], Query(description="Only decisions with this outcome.")]
Mode = Annotated[DecisionMode | SkipJsonSchema[None], Query(description="Only decisions of this mode.")]

_RISK: Final = "/v1/risk"
_wallet_id: Final = path_id(problems.WALLET_NOT_FOUND, "There is no such wallet.")
_decision_id: Final = path_id(problems.NOT_FOUND, "There is no such decision.")
_PROBLEM_MAP: Final[ProblemMap] = {
    WalletUnknown: (problems.WALLET_NOT_FOUND, "There is no such wallet."),
    DecisionUnknown: (problems.NOT_FOUND, "There is no such decision."),
    SubjectParked: (problems.WALLET_PARKED, "The wallet is parked; operators know."),
}
_FROM_RISK: Final[Sequence[Link]] = (
    ("list_decisions", {"wallet_id": "$response.body#/wallet_id"}),
    ("get_decision", {"decision_id": "$response.body#/decisions/0/id"}),
)
_FROM_DECISIONS: Final[Sequence[Link]] = (
    ("get_decision", {"decision_id": "$response.body#/data/0/id"}),
    ("get_wallet_risk", {"wallet_id": "$response.body#/data/0/wallet_id"}),
)
_FROM_DECISION: Final[Sequence[Link]] = (("get_wallet_risk", {"wallet_id": "$response.body#/wallet_id"}),)


def wallet_routes(queries: RiskQueries) -> Sequence[Route]:
    """Return the route of a wallet's risk."""
    return (
        Route(
            method="GET",
            path=f"{_RISK}/wallets/{{wallet_id}}",
            handler=_Handlers(queries).wallet,
            access=Access(scopes.RISK_READ, "{wallet_id}", Cost.READ),
            operation_id="get_wallet_risk",
            summary="A wallet's profile, and why",
            description="For a caller that acts for some owners alone there is no wallet of another owner.",
            tags=["risk"],
            response=WalletRiskBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
            links=_FROM_RISK,
        ),
    )


def decision_routes(queries: RiskQueries) -> Sequence[Route]:
    """Return the routes of decisions."""
    handlers = _Handlers(queries)
    return (
        Route(
            method="GET",
            path=f"{_RISK}/decisions",
            handler=handlers.decisions,
            access=Access(scopes.RISK_READ, EACH_ROW, Cost.READ),
            operation_id="list_decisions",
            summary="Decisions, newest first",
            description="A caller that acts for some owners alone is shown the decisions about their wallets.",
            tags=["risk"],
            response=DecisionsBody,
            problems=[problems.WALLET_PARKED],
            links=_FROM_DECISIONS,
        ),
        Route(
            method="GET",
            path=f"{_RISK}/decisions/{{decision_id}}",
            handler=handlers.decision,
            access=Access(scopes.RISK_READ, "{decision_id}", Cost.READ),
            operation_id="get_decision",
            summary="A decision and its reasons",
            description="For a caller that acts for some owners alone there is none about another owner's wallet.",
            tags=["risk"],
            response=DecisionBody,
            problems=[problems.NOT_FOUND],
            links=_FROM_DECISION,
        ),
    )


def rule_routes(queries: RiskQueries) -> Sequence[Route]:
    """Return the route of the rules."""
    return (
        Route(
            method="GET",
            path=f"{_RISK}/rules",
            handler=_Handlers(queries).rules,
            access=Access(scopes.RISK_READ, None, Cost.READ),
            operation_id="get_rules",
            summary="The rules in force",
            tags=["risk"],
            response=RulesBody,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    queries: RiskQueries

    async def wallet(
        self, wallet_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> WalletRiskBody:
        known = _wallet_id(wallet_id)
        with read_raises_as_problems(_PROBLEM_MAP):
            found = await self.queries.wallet(caller, known, min_position=min_position)
        tell_freshness(response, found.freshness)
        return wallet_risk_body(found)

    async def decisions(
        self,
        caller: Caller,
        page: Page,
        min_position: MinPosition,
        response: Response,
        *,
        wallet_id: WalletId = None,
        outcome: Outcome = None,
        mode: Mode = None,
    ) -> DecisionsBody:
        known = filtered_id(wallet_id, "wallet_id", "wallet_id is not an id in its canonical form.")
        wanted = DecisionFilter(wallet_id=known, outcome=outcome, mode=mode)
        asked = paged(page, tuple[datetime, UUID], "decisions", caller.tenant_id, caller.owners, wanted)
        with read_raises_as_problems(_PROBLEM_MAP):
            found = await self.queries.decisions(
                caller, wanted, before=asked.position, limit=asked.limit, min_position=min_position
            )
        tell_freshness(response, found.freshness)
        shown = asked.show(found.rows, lambda row: (row.decided_at, row.decision_id))
        return DecisionsBody(data=[decision_body(row) for row in shown.rows], next_cursor=shown.next_cursor)

    async def decision(self, decision_id: PathId, caller: Caller) -> DecisionBody:
        known = _decision_id(decision_id)
        with raises_as_problems(_PROBLEM_MAP):
            return decision_body(await self.queries.decision(caller, known))

    async def rules(self, _caller: Caller) -> RulesBody:
        return rules_body(await self.queries.rules())
