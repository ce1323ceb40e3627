"""The routes of what is counted: a tenant's totals, and a wallet's other sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final, Literal

from fastapi import Query, Response
from pydantic import BaseModel

from contracts import problems, scopes
from contracts.envelope import rfc3339
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.entrypoints.bodies import CounterpartyBody, MoneyBody
from transaction_history.entrypoints.parameters import (
    HISTORY,
    NOT_THEIRS,
    PROBLEM_MAP,
    time_range,
    values_of,
    wallet_id_of,
)
from transaction_history.entrypoints.parked import ParkedBody, parked_body
from transaction_history.reads.totals import TOTALS_MAX, CountedReads, OtherSide, TooManyTotals, Total
from transaction_history.reads.view import Views

DAYS_MAX: Final = 366
PARTS: Final = ("day", "currency", "type")

By = Annotated[str, Query(description="What is told apart, separated by commas: `day`, `type`; currencies always are.")]
Begin = Annotated[str, Query(alias="from", description="From this UTC midnight on, RFC 3339.")]
End = Annotated[str, Query(alias="to", description=f"Up to this UTC midnight, {DAYS_MAX} days later at most.")]
Sort = Annotated[Literal["volume", "entries", "last"], Query(description="Of what there is most comes first.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]


class TotalBody(BaseModel):
    """What transactions of a currency came to in wallets' entries; *day* and *type* where they are told apart."""

    day: str | None
    currency: str
    type: str | None
    transactions: int
    entries: int
    credits: MoneyBody
    debits: MoneyBody


class TotalsBody(BaseModel):
    """A tenant's totals; nothing that occurred before *complete_until* is still to come."""

    data: list[TotalBody]
    complete_until: str | None
    parked: ParkedBody


class OtherSideBody(BaseModel):
    """What went between the wallet and one other side."""

    counterparty: CounterpartyBody
    currency: str
    entries: int
    credits: MoneyBody
    debits: MoneyBody
    first_at: str
    last_at: str


class OtherSidesBody(BaseModel):
    """A wallet's other sides, most first; *complete* is false where there are more than were ranked."""

    data: list[OtherSideBody]
    complete: bool


def total_routes(views: Views, counted: CountedReads) -> Sequence[Route]:
    """Return the routes of what is counted."""
    handlers = _TotalHandlers(views, counted)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/totals",
            handler=handlers.totals,
            access=Access(scopes.HISTORY_READ, EVERY_OWNER, Cost.READ),
            operation_id="get_totals",
            summary="A tenant's totals by day, currency and type",
            description=f"Of whole days of UTC, {TOTALS_MAX:,} rows at most; as fresh as the index.",
            tags=["history"],
            response=TotalsBody,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/counterparties",
            handler=handlers.other_sides,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="list_counterparties",
            summary="A wallet's other sides",
            description=f"As fresh as the index. {NOT_THEIRS}",
            tags=["history"],
            response=OtherSidesBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
        ),
    )


@dataclass(frozen=True, slots=True)
class _TotalHandlers:
    views: Views
    counted: CountedReads

    async def totals(
        self,
        *,
        caller: Caller,
        min_position: MinPosition,
        response: Response,
        begin: Begin,
        end: End,
        by: By = "day,currency,type",
    ) -> TotalsBody:
        parts, days = values_of(by, "by", PARTS), _days(begin, end)
        with read_raises_as_problems(PROBLEM_MAP):
            await self.counted.wait_for(min_position)
            try:
                found = await self.views.answer(
                    caller,
                    min_position,
                    lambda view: self.counted.totals(view, *days, by_day="day" in parts, by_type="type" in parts),
                )
            except TooManyTotals:
                detail = f"There are more than {TOTALS_MAX:,} totals: ask for fewer days, or tell less apart."
                raise invalid_query(FieldError("/by", "too_many", detail)) from None
        tell_freshness(response, found.freshness)
        complete_until = found.freshness.complete_until
        return TotalsBody(
            data=[_total(each) for each in found.rows],
            complete_until=None if complete_until is None else rfc3339(complete_until),
            parked=parked_body(found.parked),
        )

    async def other_sides(
        self,
        *,
        wallet_id: PathId,
        caller: Caller,
        min_position: MinPosition,
        response: Response,
        sort: Sort = "volume",
        limit: Limit = 50,
    ) -> OtherSidesBody:
        known = wallet_id_of(wallet_id)
        with read_raises_as_problems(PROBLEM_MAP):
            await self.counted.wait_for(min_position)
            found = await self.views.answer(
                caller, min_position, lambda view: self.counted.other_sides(view, known, order=sort, limit=limit)
            )
        tell_freshness(response, found.freshness)
        return OtherSidesBody(data=[_other_side(each) for each in found.rows], complete=found.is_complete)


def _days(begin: str, end: str) -> tuple[date, date]:
    """Return the UTC days that begin at the instants; raise Problem `invalid_query` where they are no midnights."""
    found = []
    for name, at in zip(("from", "to"), time_range(begin, end), strict=True):
        assert at is not None, "both are required"
        if at.time() != time():
            raise invalid_query(FieldError(f"/{name}", "invalid_value", "Totals are of whole days of UTC."))
        found.append(at)
    if found[1] - found[0] > timedelta(days=DAYS_MAX):
        raise invalid_query(FieldError("/to", "too_many", f"Totals are of {DAYS_MAX} days at most."))
    first, last = map(datetime.date, found)
    return first, last


def _total(total: Total) -> TotalBody:
    return TotalBody(
        day=None if total.day is None else total.day.isoformat(),
        currency=total.currency,
        type=total.type,
        transactions=total.transactions,
        entries=total.entries,
        credits=MoneyBody.of(total.credits_minor, total.currency),
        debits=MoneyBody.of(total.debits_minor, total.currency),
    )


def _other_side(side: OtherSide) -> OtherSideBody:
    wallet_id = None if side.wallet_id is None else str(side.wallet_id)
    return OtherSideBody(
        counterparty=CounterpartyBody(wallet_id=wallet_id, owner_id=side.owner_id, system_account=side.account),
        currency=side.currency,
        entries=side.entries,
        credits=MoneyBody.of(side.credits_minor, side.currency),
        debits=MoneyBody.of(side.debits_minor, side.currency),
        first_at=rfc3339(side.first_at),
        last_at=rfc3339(side.last_at),
    )
