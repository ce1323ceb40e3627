"""Quotes and conversions, as they are asked for and answered, and the quote as it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from contracts import problems, scopes
from contracts.envelope import rfc3339
from contracts.money import EXPONENTS, Money, money
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.parsing import path_id
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain.commands import Command
from wallet.domain.conversions import Convert
from wallet.domain.fee_rules import PAYER
from wallet.domain.fx import client_rate
from wallet.domain.mandate import Mandate
from wallet.domain.quotes import LASTS_S, LASTS_S_MAX, QUOTE, Quote, QuotedFee, QuoteStatus, RequestQuote, quote_of
from wallet.domain.rows import StateRow
from wallet.entrypoints import money as money_slices
from wallet.entrypoints.bodies import TransactionBody
from wallet.entrypoints.fields import (
    CurrencyCode,
    Description,
    Metadata,
    Reference,
    details_of,
    plain_minor_of,
)
from wallet.entrypoints.rendering import CREATED, OK, answer_payers_transaction
from wallet.entrypoints.slices import CommandSlice, Lookups
from wallet.reads.reads_postgres import LedgerReads

QUOTES: Final = "/v1/fx/quotes"
_TAG: Final = "fx"
_DECIMAL: Final = {"pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$"}
_TO_QUOTE: Final[tuple[Link, ...]] = (("get_quote", {"quote_id": "$response.body#/id"}),)
PlainAmount = Annotated[
    str, Meta(max_length=40, description="In the currency's decimals or fewer.", extra_json_schema=_DECIMAL)
]
ValidS = Annotated[int, Meta(ge=1, le=LASTS_S_MAX, description="For how many seconds the quote can be used.")]
_encode: Final = msgspec.json.Encoder().encode
_quote_id: Final = path_id(problems.QUOTE_NOT_FOUND, "There is no quote {}.")


class QuoteRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Ask what an amount of one currency comes to in another, or what that amount of another costs: one amount."""

    source_currency: CurrencyCode
    destination_currency: CurrencyCode
    source_amount: PlainAmount | None = None
    destination_amount: PlainAmount | None = None
    valid_s: ValidS = LASTS_S


class ConversionRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Convert money of a wallet as the quote says, into another wallet."""

    quote_id: UUID
    source_wallet_id: UUID
    destination_wallet_id: UUID
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class QuotedFeeBody(Struct, frozen=True):
    """What the conversion costs besides, where the payer's tier has no rule of its own."""

    bearer: str
    rule: str
    amount: Money


class QuoteBody(Struct, frozen=True):
    """A quote: for *source_amount* the payee gets *destination_amount*, until *expires_at*, once.

    *rate* is *mid_rate* less the spread, destination per source; the mid rate is of *source* as of *as_of*. *status* is
    `open`, `used` (by *transaction_id*) or `expired`.
    """

    id: UUID
    status: str
    source_amount: Money
    destination_amount: Money
    rate: str
    mid_rate: str
    spread_ppm: int
    source: str
    as_of: str
    fees: list[QuotedFeeBody]
    expires_at: str
    transaction_id: UUID | None
    created_at: str


def _fee_body(fee: QuotedFee, quote: Quote) -> QuotedFeeBody:
    currency = quote.source_currency if fee.bearer == PAYER else quote.destination_currency
    return QuotedFeeBody(fee.bearer, fee.rule, money(fee.amount_minor, currency))


def quote_body(row: StateRow) -> QuoteBody:
    """Return a quote as clients see it."""
    quote = quote_of(row)
    return QuoteBody(
        id=row.id,
        status=QuoteStatus(row.status).label,
        source_amount=money(quote.source_minor, quote.source_currency),
        destination_amount=money(quote.destination_minor, quote.destination_currency),
        rate=client_rate(quote.mid_rate, quote.spread_ppm),
        mid_rate=quote.mid_rate,
        spread_ppm=quote.spread_ppm,
        source=quote.source,
        as_of=rfc3339(quote.as_of),
        fees=[_fee_body(each, quote) for each in quote.fees],
        expires_at=rfc3339(quote.expires_at),
        transaction_id=quote.transaction_id,
        created_at=rfc3339(quote.quoted_at),
    )


def _quote(request: QuoteRequest, _path_id: UUID | None, pointer: str) -> RequestQuote:
    for name in ("source_currency", "destination_currency"):
        if getattr(request, name) not in EXPONENTS:
            raise invalid_request(FieldError(f"{pointer}/{name}", "unknown_currency", "The currency is not known."))
    if request.source_currency == request.destination_currency:
        detail = "A quote is of two different currencies."
        raise invalid_request(FieldError(f"{pointer}/destination_currency", "same_currency", detail))
    if (request.source_amount is None) == (request.destination_amount is None):
        detail = "Give source_amount or destination_amount, and not both."
        raise invalid_request(FieldError(f"{pointer}/source_amount", "one_amount", detail))
    return RequestQuote(
        request.source_currency,
        request.destination_currency,
        _minor(request.source_amount, request.source_currency, f"{pointer}/source_amount"),
        _minor(request.destination_amount, request.destination_currency, f"{pointer}/destination_amount"),
        request.valid_s,
    )


def _minor(amount: str | None, currency: str, pointer: str) -> int | None:
    return None if amount is None else plain_minor_of(amount, currency, pointer)


async def _with_rates(lookups: Lookups, mandate: Mandate, commands: Sequence[RequestQuote]) -> Sequence[Command]:
    """Return the commands with the rates of their pairs, where there are fresh ones."""
    table = None if lookups.rates is None else await lookups.rates.current(mandate.tenant_id)
    if table is None:
        return commands
    return [
        msgspec.structs.replace(each, mid=table.mid(each.source_currency, each.destination_currency))
        for each in commands
    ]


def _convert(request: ConversionRequest, _path_id: UUID | None, pointer: str) -> Convert:
    if request.source_wallet_id == request.destination_wallet_id:
        detail = "A conversion needs two different wallets."
        raise invalid_request(FieldError(f"{pointer}/destination_wallet_id", "same_wallet", detail))
    return Convert(
        request.quote_id,
        request.source_wallet_id,
        request.destination_wallet_id,
        details_of(request.reference, request.description, request.metadata),
    )


def _quoted(_command: Command, done: CarriedOut) -> Answer:
    return CREATED, _encode(quote_body(done.states[0]))


def answer_quote(_command: Command, done: CarriedOut) -> Answer:
    """Answer with the quote that was changed."""
    return OK, _encode(quote_body(done.states[0]))


SLICES: Final = (
    CommandSlice(
        command=RequestQuote,
        kinds=(QUOTE,),
        request=QuoteRequest,
        to_command=_quote,
        prepare=_with_rates,
        answer=_quoted,
        path=QUOTES,
        access=Access(scopes.CONVERSIONS_CREATE, None, Cost.COMMAND),
        located_at=f"{QUOTES}/",
        operation_id="request_quote",
        summary="Ask what a conversion would come to",
        tag=_TAG,
        status=CREATED,
        response=QuoteBody,
        problems=(problems.PAIR_NOT_OFFERED, problems.QUOTE_AMOUNT_OUT_OF_RANGE, problems.RATE_UNAVAILABLE),
        links=_TO_QUOTE,
    ),
    CommandSlice(
        command=Convert,
        request=ConversionRequest,
        to_command=_convert,
        answer=answer_payers_transaction,
        path="/v1/conversions",
        access=Access(scopes.CONVERSIONS_CREATE, "/source_wallet_id", Cost.COMMAND),
        located_at="/v1/transactions/",
        operation_id="convert",
        summary="Convert money as a quote says",
        tag=_TAG,
        status=CREATED,
        response=TransactionBody,
        problems=(
            problems.QUOTE_NOT_FOUND,
            problems.QUOTE_EXPIRED,
            problems.QUOTE_USED,
            *money_slices.PROBLEMS,
            problems.INSUFFICIENT_FUNDS,
        ),
        links=money_slices.TO_TRANSACTION,
    ),
)


def quote_reads(reads: LedgerReads) -> Sequence[Route]:
    """Return the route that reads quotes."""
    return (
        Route(
            method="GET",
            path=f"{QUOTES}/{{quote_id}}",
            handler=_QuoteHandlers(reads).get,
            access=Access(scopes.CONVERSIONS_CREATE, None, Cost.READ),
            operation_id="get_quote",
            summary="A quote",
            tags=[_TAG],
            response=QuoteBody,
            problems=[problems.QUOTE_NOT_FOUND],
        ),
    )


@dataclass(frozen=True, slots=True)
class _QuoteHandlers:
    reads: LedgerReads

    async def get(self, quote_id: PathId, caller: Caller) -> QuoteBody:
        found = await self.reads.state(caller.tenant_id, QUOTE, _quote_id(quote_id))
        if found is None:
            raise _quote_id.missing(quote_id)
        return quote_body(found)
