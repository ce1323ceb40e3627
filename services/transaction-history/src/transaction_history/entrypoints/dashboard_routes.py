"""The routes of a tenant at a glance: its dashboard, and its first wallets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import BaseModel

from contracts import problems, scopes
from contracts.envelope import rfc3339
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller
from servicekit.principal import Principal
from servicekit.read_answers import read_raises_as_problems
from transaction_history.dashboard.answers import Answers
from transaction_history.dashboard.answers_postgres import SERVED_FOR, Kept
from transaction_history.domain.dashboard import (
    ACTIVE_SHOWN,
    TOP_KEPT,
    CurrencyFigures,
    Dashboard,
    DashboardAsked,
    DayVolume,
    MinuteCount,
    Ranked,
    Told,
    TopAsked,
    TopWallet,
    TopWallets,
    Window,
    average_minor,
    newest_minute,
    per_second,
    volume_minor,
)
from transaction_history.entrypoints.bodies import MoneyBody
from transaction_history.entrypoints.parameters import HISTORY, PROBLEM_MAP, CurrencyFilter, currency_of
from transaction_history.entrypoints.parked import ParkedBody
from transaction_history.reads.conditions import settle_kept
from transaction_history.reads.figures import LOOKED_AT_MAX

WindowQuery = Annotated[Window, Query(description="How far back it looks.")]
By = Annotated[Ranked, Query(description="Of what the first wallet has most; but for `entries` beside a `currency`.")]
Limit = Annotated[int, Query(ge=1, le=TOP_KEPT, description="How many at most.")]

_AGE: Final = {"Age": "How old the answer is, in seconds."}
_CACHED: Final = (
    f"Kept, and made anew every 15 seconds while somebody asks, at most {SERVED_FOR.total_seconds():.0f} seconds old; "
    f"`as_of` tells when. It looks at {LOOKED_AT_MAX:,} rows of a table: where there are more, `complete` is false."
)


class RateBody(BaseModel):
    """Transactions in the minute from *minute* on, and each second of it; a decimal."""

    minute: str
    transactions: int
    per_second: str


class MinuteBody(BaseModel):
    """Transactions in the minute from *minute* on."""

    minute: str
    transactions: int


class VolumeBody(BaseModel):
    """What transactions came to on a UTC day; *volume* is what came in or went out, whichever is more."""

    day: str
    type: str
    currency: str
    transactions: int
    entries: int
    credits: MoneyBody
    debits: MoneyBody
    volume: MoneyBody


class WalletCountBody(BaseModel):
    """Wallets of a currency and a status, `open` or `closed`."""

    currency: str
    status: str
    wallets: int


class CurrencyFundsBody(BaseModel):
    """What is in the open wallets of a currency."""

    currency: str
    wallets: int
    total: MoneyBody
    held: MoneyBody
    average: MoneyBody


class NewWalletsBody(BaseModel):
    """Wallets of a currency that were opened in the window."""

    currency: str
    wallets: int


class TopWalletBody(BaseModel):
    """A wallet, what happened in the window, and what is in it; *volume* is credits and debits together."""

    wallet_id: str
    owner_id: str
    currency: str
    entries: int
    credits: MoneyBody
    debits: MoneyBody
    volume: MoneyBody
    balance: MoneyBody


class DashboardBody(BaseModel):
    """A tenant as of *as_of*; *counted_from* is when volumes and new wallets begin.

    *by_minute* has the minutes with transactions, of the last day at most. Not *complete* where something was cut off.
    """

    window: str
    as_of: str
    complete_until: str | None
    counted_from: str
    complete: bool
    now: RateBody
    by_minute: list[MinuteBody]
    volumes: list[VolumeBody]
    wallets: list[WalletCountBody]
    balances: list[CurrencyFundsBody]
    new_wallets: list[NewWalletsBody]
    most_active: list[TopWalletBody]
    parked: ParkedBody


class TopWalletsBody(BaseModel):
    """The first wallets as of *as_of*, of whole hours from *counted_from* on; without the parked ones."""

    data: list[TopWalletBody]
    as_of: str
    complete_until: str | None
    counted_from: str
    complete: bool
    parked: ParkedBody


def dashboard_routes(answers: Answers) -> Sequence[Route]:
    """Return the routes."""
    handlers = _DashboardHandlers(answers)
    return (
        Route(
            method="GET",
            path=f"{HISTORY}/dashboard",
            handler=handlers.dashboard,
            access=Access(scopes.HISTORY_READ, EVERY_OWNER, Cost.READ),
            operation_id="get_dashboard",
            summary="A tenant at a glance",
            description=f"The {ACTIVE_SHOWN} most active wallets with it. {_CACHED}",
            tags=["history"],
            response=DashboardBody,
            problems=[problems.OVERLOADED, problems.UNAVAILABLE],
            response_headers=_AGE,
        ),
        Route(
            method="GET",
            path=f"{HISTORY}/top-wallets",
            handler=handlers.top_wallets,
            access=Access(scopes.HISTORY_READ, EVERY_OWNER, Cost.READ),
            operation_id="list_top_wallets",
            summary="A tenant's first wallets",
            description=f"By entries, by volume, or by what is in them. {_CACHED}",
            tags=["history"],
            response=TopWalletsBody,
            problems=[problems.OVERLOADED, problems.UNAVAILABLE],
            response_headers=_AGE,
        ),
    )


@dataclass(frozen=True, slots=True)
class _DashboardHandlers:
    answers: Answers

    async def dashboard(self, *, caller: Caller, response: Response, window: WindowQuery = Window.DAY) -> DashboardBody:
        with read_raises_as_problems(PROBLEM_MAP):
            kept = await self.answers.answer(caller, DashboardAsked(window))
        _tell_age(response, kept, caller)
        assert isinstance(kept.answer, Dashboard)
        return _dashboard(kept.answer, window)

    async def top_wallets(
        self,
        *,
        caller: Caller,
        response: Response,
        by: By = Ranked.ENTRIES,
        window: WindowQuery = Window.DAY,
        currency: CurrencyFilter = None,
        limit: Limit = 10,
    ) -> TopWalletsBody:
        asked = TopAsked(by, window, currency_of(currency))
        if currency is None and by is not Ranked.ENTRIES:
            detail = "Amounts of several currencies are not compared: name one."
            raise invalid_query(FieldError("/currency", "missing", detail))
        with read_raises_as_problems(PROBLEM_MAP):
            kept = await self.answers.answer(caller, asked)
        _tell_age(response, kept, caller)
        assert isinstance(kept.answer, TopWallets)
        return TopWalletsBody(data=[_wallet(each) for each in kept.answer.wallets[:limit]], **_told(kept.answer.told))


def _tell_age(response: Response, kept: Kept, caller: Principal) -> None:
    response.headers["Age"] = str(int(kept.age_s))
    settle_kept(caller, kept.answer.told.as_of)


def _told(told: Told) -> dict[str, object]:
    return {
        "as_of": rfc3339(told.as_of),
        "complete_until": None if told.complete_until is None else rfc3339(told.complete_until),
        "counted_from": rfc3339(told.counted_from),
        "complete": told.is_complete,
        "parked": ParkedBody(count=told.parked_count, wallet_ids=[str(each) for each in told.parked_ids]),
    }


def _dashboard(found: Dashboard, window: Window) -> DashboardBody:
    now = newest_minute(found.minutes, found.told.as_of, found.told.complete_until)
    return DashboardBody(
        window=window.value,
        now=RateBody(minute=rfc3339(now.at), transactions=now.transactions, per_second=per_second(now.transactions)),
        by_minute=[_minute(each) for each in found.minutes],
        volumes=[_volume(each) for each in found.volumes],
        wallets=[each for currency in found.currencies for each in _counts(currency)],
        balances=[_balance(each) for each in found.currencies if each.open],
        new_wallets=[
            NewWalletsBody(currency=each.currency, wallets=each.opened) for each in found.currencies if each.opened
        ],
        most_active=[_wallet(each) for each in found.active],
        **_told(found.told),
    )


def _minute(minute: MinuteCount) -> MinuteBody:
    return MinuteBody(minute=rfc3339(minute.at), transactions=minute.transactions)


def _volume(found: DayVolume) -> VolumeBody:
    return VolumeBody(
        day=found.day.isoformat(),
        type=found.type,
        currency=found.currency,
        transactions=found.transactions,
        entries=found.entries,
        credits=MoneyBody.of(found.credits_minor, found.currency),
        debits=MoneyBody.of(found.debits_minor, found.currency),
        volume=MoneyBody.of(volume_minor(found.credits_minor, found.debits_minor), found.currency),
    )


def _counts(found: CurrencyFigures) -> Sequence[WalletCountBody]:
    return [
        WalletCountBody(currency=found.currency, status=status, wallets=wallets)
        for status, wallets in (("open", found.open), ("closed", found.closed))
    ]


def _balance(found: CurrencyFigures) -> CurrencyFundsBody:
    return CurrencyFundsBody(
        currency=found.currency,
        wallets=found.open,
        total=MoneyBody.of(found.posted_minor, found.currency),
        held=MoneyBody.of(found.held_minor, found.currency),
        average=MoneyBody.of(average_minor(found.posted_minor, found.open), found.currency),
    )


def _wallet(found: TopWallet) -> TopWalletBody:
    return TopWalletBody(
        wallet_id=str(found.wallet_id),
        owner_id=found.owner_id,
        currency=found.currency,
        entries=found.entries,
        credits=MoneyBody.of(found.credits_minor, found.currency),
        debits=MoneyBody.of(found.debits_minor, found.currency),
        volume=MoneyBody.of(found.credits_minor + found.debits_minor, found.currency),
        balance=MoneyBody.of(found.posted_minor, found.currency),
    )
