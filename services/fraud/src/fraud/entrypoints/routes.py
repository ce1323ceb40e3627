"""The routes of risk: wallets, decisions, and the rules behind them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from contracts import problems
from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.ids import parse_id
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
from servicekit.http.answers import Link, declared
from servicekit.http.context import invalid_query
from servicekit.http.dependencies import Caller, MinPosition, PathId
from servicekit.http.paging import Page, decode_cursor, encode_cursor
from servicekit.http.problems import FieldError, Problem, Told, told_as
from servicekit.read_answers import read_told_as, tell_freshness
from servicekit.read_model.projected import SubjectParked

# A query has no null: a parameter is left out.
Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
WalletId = Annotated[Id | SkipJsonSchema[None], Query(description="Only decisions about this wallet.")]
Outcome = Annotated[DecisionOutcome | SkipJsonSchema[None], Query(description="Only decisions with this outcome.")]
Mode = Annotated[DecisionMode | SkipJsonSchema[None], Query(description="Only decisions of this mode.")]

_TOLD: Final[Told] = {
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


def wallet_routes(queries: RiskQueries) -> APIRouter:
    """Return the route of a wallet's risk."""
    router = _router()

    @router.get(
        "/wallets/{wallet_id}",
        operation_id="get_wallet_risk",
        summary="A wallet's profile, and why",
        responses=declared(problems.WALLET_NOT_FOUND, problems.WALLET_PARKED, links=_FROM_RISK),
    )
    async def wallet(
        wallet_id: PathId, caller: Caller, min_position: MinPosition, response: Response
    ) -> WalletRiskBody:
        known = parse_id(wallet_id)
        if known is None:
            raise Problem(problems.WALLET_NOT_FOUND, "There is no such wallet.")
        with read_told_as(_TOLD):
            found = await queries.wallet(caller.tenant_id, known, min_position=min_position)
        tell_freshness(response, found.freshness)
        return wallet_risk_body(found)

    return router


def decision_routes(queries: RiskQueries) -> APIRouter:
    """Return the routes of decisions."""
    router = _router()

    @router.get(
        "/decisions",
        operation_id="list_decisions",
        summary="Decisions, newest first",
        responses=declared(problems.WALLET_PARKED, links=_FROM_DECISIONS),
    )
    async def decisions(
        caller: Caller,
        page: Page,
        min_position: MinPosition,
        response: Response,
        *,
        wallet_id: WalletId = None,
        outcome: Outcome = None,
        mode: Mode = None,
    ) -> DecisionsBody:
        wanted = DecisionFilter(wallet_id=_filtered_wallet(wallet_id), outcome=outcome, mode=mode)
        fingerprint = f"decisions|{caller.tenant_id}|{wanted.wallet_id}|{outcome}|{mode}"
        before = None
        if page.cursor is not None:
            before = decode_cursor(page.cursor, fingerprint, tuple[datetime, UUID])
        with read_told_as(_TOLD):
            found = await queries.decisions(
                caller.tenant_id, wanted, before=before, limit=page.limit, min_position=min_position
            )
        tell_freshness(response, found.freshness)
        last = found.rows[-1] if found.has_more else None
        more = None if last is None else encode_cursor(fingerprint, (last.decided_at, UUID(int=last.decision_id.int)))
        return DecisionsBody(data=[decision_body(row) for row in found.rows], next_cursor=more)

    @router.get(
        "/decisions/{decision_id}",
        operation_id="get_decision",
        summary="A decision and its reasons",
        responses=declared(problems.NOT_FOUND, links=_FROM_DECISION),
    )
    async def decision(decision_id: PathId, caller: Caller) -> DecisionBody:
        known = parse_id(decision_id)
        if known is None:
            raise Problem(problems.NOT_FOUND, "There is no such decision.")
        with told_as(_TOLD):
            return decision_body(await queries.decision(caller.tenant_id, known))

    return router


def rule_routes(queries: RiskQueries) -> APIRouter:
    """Return the route of the rules."""
    router = _router()

    @router.get("/rules", operation_id="get_rules", summary="The rules in force")
    async def rules(_caller: Caller) -> RulesBody:
        return rules_body(await queries.rules())

    return router


def _router() -> APIRouter:
    return APIRouter(prefix="/v1/risk", tags=["risk"])


def _filtered_wallet(text: str | None) -> UUID | None:
    if text is None:
        return None
    known = parse_id(text)
    if known is None:
        raise invalid_query(FieldError("/wallet_id", "invalid_id", "wallet_id is not an id in its canonical form."))
    return known
