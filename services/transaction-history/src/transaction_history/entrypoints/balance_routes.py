"""The routes of balances in the past, and of series of them."""

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response

from contracts import problems, scopes
from contracts.envelope import rfc3339
from contracts.zones import UTC_ZONE
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError, Problem
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, MinPosition, PathId
from servicekit.http.routes.parsing import instant_of
from servicekit.read_answers import read_raises_as_problems, tell_freshness
from transaction_history.domain.buckets import BUCKETS_MAX, Bucket, TooManyBuckets, day_end, edges
from transaction_history.entrypoints.bodies import BalanceAtBody, balance_at_body
from transaction_history.entrypoints.ledger_bodies import SeriesBody, series_body
from transaction_history.entrypoints.parameters import (
    HISTORY,
    NONE_OF_OTHERS,
    NOT_THEIRS,
    PROBLEM_MAP,
    VERSION_MAX,
    OwnerId,
    ZoneName,
    day_of,
    time_range,
    wallet_id_of,
    zone_of,
)
from transaction_history.reads.balances import (
    OWNER_WALLETS_MAX,
    BalanceAt,
    OpenedLater,
    TooManyWallets,
    VersionUnknown,
    balance_at,
    balance_of_version,
    owner_series,
    wallet_series,
)
from transaction_history.reads.view import View, Views

At = Annotated[
    str | None,
    Query(description="The instant, RFC 3339 with its offset.", json_schema_extra={"format": "date-time"}),
]
Version = Annotated[int | None, Query(ge=1, le=VERSION_MAX, description="After this version of the wallet.")]
LocalDate = Annotated[
    str | None, Query(description="At the end of this day in `time_zone`.", json_schema_extra={"format": "date"})
]
Begin = Annotated[str, Query(alias="from", description="From this instant on, RFC 3339 with its offset.")]
End = Annotated[str, Query(alias="to", description="Up to this instant, RFC 3339 with its offset; not included.")]

_TICK: Final = timedelta(microseconds=1)
_BUCKETS: Final = (
    "Balances and what moved them from `from` to `to`, by buckets whose edges are those of local clocks in "
    f"`time_zone`: days begin at midnight, weeks on Mondays. At most {BUCKETS_MAX:,} buckets."
)


def balance_routes(views: Views) -> Sequence[Route]:
    """Return the routes of balances in the past."""
    handlers = _BalanceHandlers(views)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/balance",
            handler=handlers.balance,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="get_balance_at",
            summary="A balance in the past",
            description=f"At an instant, after a version, or at the end of a local day: one of them. {NOT_THEIRS}",
            tags=["history"],
            response=BalanceAtBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_NOT_OPEN_YET, problems.WALLET_PARKED],
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/wallets/{{wallet_id}}/balance-series",
            handler=handlers.of_wallet,
            access=Access(scopes.HISTORY_READ, "{wallet_id}", Cost.READ),
            operation_id="get_wallet_balance_series",
            summary="A wallet's balances by hour, day, week or month",
            description=f"{_BUCKETS} {NOT_THEIRS}",
            tags=["history"],
            response=SeriesBody,
            problems=[problems.WALLET_NOT_FOUND, problems.WALLET_PARKED],
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/owners/{{owner_id}}/balance-series",
            handler=handlers.of_owner,
            access=Access(scopes.HISTORY_READ, "{owner_id}", Cost.READ),
            operation_id="get_owner_balance_series",
            summary="An owner's balances by hour, day, week or month",
            description=f"{_BUCKETS} Of owners with at most {OWNER_WALLETS_MAX} wallets. {NONE_OF_OTHERS}",
            tags=["history"],
            response=SeriesBody,
            problems=[problems.NOT_FOUND, problems.WALLET_PARKED],
        ),
    )


@contextmanager
def _told() -> Iterator[None]:
    """Raise what the body raises as problems."""
    try:
        with read_raises_as_problems(PROBLEM_MAP):
            yield
    except OpenedLater as later:
        opened_at = rfc3339(later.opened_at)
        detail = f"The wallet was opened at {opened_at}: there is no balance before."
        raise Problem(problems.WALLET_NOT_OPEN_YET, detail, opened_at=opened_at) from None
    except VersionUnknown as unknown:
        detail = f"The wallet is at version {unknown.version}."
        raise invalid_query(FieldError("/version", "invalid_value", detail)) from None
    except TooManyWallets:
        detail = f"The owner has more than {OWNER_WALLETS_MAX} wallets, or too many buckets for them: ask for fewer."
        raise invalid_query(FieldError("/bucket", "too_many", detail)) from None


@dataclass(frozen=True, slots=True)
class _BalanceHandlers:
    views: Views

    async def balance(
        self,
        *,
        wallet_id: PathId,
        caller: Caller,
        min_position: MinPosition,
        response: Response,
        at: At = None,
        version: Version = None,
        date: LocalDate = None,
        time_zone: ZoneName = UTC_ZONE,
    ) -> BalanceAtBody:
        known, zone = wallet_id_of(wallet_id), zone_of(time_zone)
        if [at, version, date].count(None) != 2:  # noqa: PLR2004  two of three
            raise invalid_query(FieldError("/at", "one_measure", "One of `at`, `version` and `date` is given."))
        instant = _instant(at, date, zone)
        with _told():
            found = await self.views.answer(caller, min_position, lambda view: _balance(view, known, instant, version))
        tell_freshness(response, found.freshness)
        return balance_at_body(found, at or (None if instant is None else rfc3339(instant)))

    async def of_wallet(
        self,
        *,
        wallet_id: PathId,
        caller: Caller,
        min_position: MinPosition,
        response: Response,
        begin: Begin,
        end: End,
        bucket: Bucket,
        time_zone: ZoneName = UTC_ZONE,
    ) -> SeriesBody:
        known, at = wallet_id_of(wallet_id), _edges(begin, end, bucket, time_zone)
        with _told():
            found = await self.views.answer(caller, min_position, lambda view: wallet_series(view, known, at))
        tell_freshness(response, found.freshness)
        return series_body(found, time_zone=time_zone, bucket=bucket)

    async def of_owner(
        self,
        *,
        owner_id: OwnerId,
        caller: Caller,
        min_position: MinPosition,
        response: Response,
        begin: Begin,
        end: End,
        bucket: Bucket,
        time_zone: ZoneName = UTC_ZONE,
    ) -> SeriesBody:
        at = _edges(begin, end, bucket, time_zone)
        with _told():
            found = await self.views.answer(caller, min_position, lambda view: owner_series(view, owner_id, at))
        tell_freshness(response, found.freshness)
        return series_body(found, time_zone=time_zone, bucket=bucket)


def _balance(view: View, wallet_id: UUID, instant: datetime | None, version: int | None) -> Awaitable[BalanceAt]:
    if instant is None:
        return balance_of_version(view, wallet_id, version or 1)
    return balance_at(view, wallet_id, instant)


def _instant(at: str | None, date: str | None, zone: str) -> datetime | None:
    """Return the instant that is asked for: the last one of *date* in *zone*; None where a version is."""
    if at is not None:
        return instant_of(at, "at", invalid_query)
    return None if date is None else day_end(zone, day_of(date)) - _TICK


def _edges(begin: str, end: str, bucket: Bucket, time_zone: str) -> list[datetime]:
    zone, (begins, ends) = zone_of(time_zone), time_range(begin, end)
    assert begins is not None, "both are required"
    assert ends is not None, "both are required"
    try:
        return edges(zone, bucket, begins, ends)
    except TooManyBuckets:
        detail = f"There are more than {BUCKETS_MAX:,} buckets from `from` to `to`."
        raise invalid_query(FieldError("/bucket", "too_many", detail)) from None
    except OverflowError:
        raise invalid_query(FieldError("/to", "invalid_value", "`from` and `to` are too far.")) from None
