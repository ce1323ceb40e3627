"""The reading routes: wallets and transactions as of now, from the ledger itself."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Response

from contracts import problems
from contracts.ids import parse_id
from contracts.problems import ProblemCode
from servicekit.http.answers import declared
from servicekit.http.dependencies import Caller, PathId
from servicekit.http.paging import Page, PageRequest, decode_cursor, encode_cursor
from servicekit.http.problems import Problem
from wallet.application.plan import HashReference
from wallet.entrypoints.bodies import TransactionBody, WalletBody, wallet_body
from wallet.entrypoints.transactions import transaction_bodies
from wallet.reads.queries import WalletFilter
from wallet.reads.reads_postgres import PostgresReads

_encode = msgspec.json.Encoder().encode

Status = Literal["open", "frozen", "closed"]
OwnerQuery = Annotated[str | None, Query(min_length=1, max_length=100, description="Only this owner's wallets.")]
CurrencyQuery = Annotated[str | None, Query(pattern="^[A-Z]{3}$", description="Only wallets of this currency.")]
StatusQuery = Annotated[Status | None, Query(description="Only wallets of this status.")]
ReferenceQuery = Annotated[str, Query(min_length=1, max_length=100, description="The reference you gave.")]


def wallet_reads(reads: PostgresReads) -> APIRouter:
    """Return the routes that read wallets."""
    router = APIRouter(prefix="/v1/wallets", tags=["wallets"])

    @router.get(
        "/{wallet_id}",
        operation_id="get_wallet",
        summary="A wallet with its balance",
        response_class=Response,
        responses=_answers(_schema_of("WalletBody"), problems.WALLET_NOT_FOUND),
    )
    async def get_wallet(wallet_id: PathId, caller: Caller) -> Response:
        known = parse_id(wallet_id)
        wallet = None if known is None else await reads.wallet(caller.tenant_id, known)
        if wallet is None:
            raise Problem(problems.WALLET_NOT_FOUND, f"There is no wallet {wallet_id[:64]}.")
        return _json(wallet_body(wallet))

    @router.get(
        "",
        operation_id="list_wallets",
        summary="Wallets, newest first",
        response_class=Response,
        responses=_answers(_list_of("WalletBody")),
    )
    async def list_wallets(
        caller: Caller,
        page: Page,
        owner_id: OwnerQuery = None,
        currency: CurrencyQuery = None,
        status: StatusQuery = None,
    ) -> Response:
        wanted = WalletFilter(owner_id=owner_id, currency=currency, status=status)
        fingerprint = f"wallets|{caller.tenant_id}|{wanted}"
        before = _before(page, fingerprint)
        wallets = await reads.wallets(caller.tenant_id, wanted, before=before, limit=page.limit + 1)
        shown = wallets[: page.limit]
        more = encode_cursor(fingerprint, shown[-1].id.bytes) if len(wallets) > page.limit else None
        return _json(_List([wallet_body(wallet) for wallet in shown], more))

    return router


def transaction_reads(reads: PostgresReads, hash_reference: HashReference) -> APIRouter:
    """Return the routes that read transactions."""
    router = APIRouter(prefix="/v1/transactions", tags=["transactions"])

    @router.get(
        "/{transaction_id}",
        operation_id="get_transaction",
        summary="A transaction with all its entries",
        response_class=Response,
        responses=_answers(_schema_of("TransactionBody"), problems.TRANSACTION_NOT_FOUND),
    )
    async def get_transaction(transaction_id: PathId, caller: Caller) -> Response:
        known = parse_id(transaction_id)
        found = [] if known is None else transaction_bodies(await reads.entries(caller.tenant_id, [known]))
        if not found:
            raise Problem(problems.TRANSACTION_NOT_FOUND, f"There is no transaction {transaction_id[:64]}.")
        return _json(found[0])

    @router.get(
        "",
        operation_id="list_transactions",
        summary="The transactions under a reference, newest first",
        response_class=Response,
        responses=_answers(_list_of("TransactionBody")),
    )
    async def list_transactions(caller: Caller, page: Page, reference: ReferenceQuery) -> Response:
        hashed = hash_reference(caller.tenant_id, reference)
        fingerprint = f"transactions|{caller.tenant_id}|{hashed.hex()}"
        before = _before(page, fingerprint)
        ids = await reads.transactions_by_reference(caller.tenant_id, hashed, before=before, limit=page.limit + 1)
        shown = ids[: page.limit]
        bodies = transaction_bodies(await reads.entries(caller.tenant_id, shown)) if shown else []
        more = encode_cursor(fingerprint, shown[-1].bytes) if len(ids) > page.limit else None
        return _json(_List(bodies, more))

    return router


class _List(msgspec.Struct, frozen=True):
    data: Sequence[WalletBody | TransactionBody]
    next_cursor: str | None


def _before(page: PageRequest, fingerprint: str) -> UUID | None:
    if page.cursor is None:
        return None
    return UUID(bytes=decode_cursor(page.cursor, fingerprint, bytes))


def _json(body: Any) -> Response:
    return Response(_encode(body), media_type="application/json")


def _schema_of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["data", "next_cursor"],
        "properties": {
            "data": {"type": "array", "items": _schema_of(name)},
            "next_cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    }


def _answers(schema: dict[str, Any], *codes: ProblemCode) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a route's answers: its body, and its own problems by status."""
    found = {"description": "Found.", "content": {"application/json": {"schema": schema}}}
    return {200: found, **declared(*codes)}
