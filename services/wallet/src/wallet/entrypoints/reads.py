"""The reading routes: wallets and transactions as of now, from the ledger itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Query

from contracts import problems, scopes
from servicekit.access.admission import EACH_ROW, Access, Cost
from servicekit.http.route import PageOf, Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.paging import Page, PageBody, paged
from servicekit.http.routes.parsing import filtered_id, path_id
from wallet.application.plan import HashReference
from wallet.domain.mandate import Mandate
from wallet.entrypoints.bodies import HoldBody, TransactionBody, WalletBody, hold_body, wallet_body
from wallet.entrypoints.mandates import mandate_of
from wallet.entrypoints.transactions import transaction_bodies
from wallet.reads.queries import WalletFilter
from wallet.reads.reads_postgres import LedgerReads

Status = Literal["open", "frozen", "closed"]
OwnerQuery = Annotated[str | None, Query(min_length=1, max_length=100, description="Only this owner's wallets.")]
CurrencyQuery = Annotated[str | None, Query(pattern="^[A-Z]{3}$", description="Only wallets of this currency.")]
StatusQuery = Annotated[Status | None, Query(description="Only wallets of this status.")]
ReferenceQuery = Annotated[str, Query(min_length=1, max_length=100, description="The reference you gave.")]

HoldsOf = Annotated[
    str, Query(description="The wallet whose open holds are listed.", json_schema_extra={"format": "uuid"})
]

_HOLDS: Final = "/v1/holds"
_WALLETS: Final = "/v1/wallets"
_TRANSACTIONS: Final = "/v1/transactions"
_wallet_id: Final = path_id(problems.WALLET_NOT_FOUND, "There is no wallet {}.")
_hold_id: Final = path_id(problems.HOLD_NOT_FOUND, "There is no hold {}.")
_transaction_id: Final = path_id(problems.TRANSACTION_NOT_FOUND, "There is no transaction {}.")


def wallet_reads(reads: LedgerReads) -> Sequence[Route]:
    """Return the routes that read wallets."""
    handlers = _WalletHandlers(reads)
    return (
        Route(
            method="GET",
            path=f"{_WALLETS}/{{wallet_id}}",
            handler=handlers.get,
            access=Access(scopes.WALLETS_READ, "{wallet_id}", Cost.READ),
            operation_id="get_wallet",
            summary="A wallet with its balance",
            tags=["wallets"],
            response=WalletBody,
            problems=[problems.WALLET_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=_WALLETS,
            handler=handlers.list,
            access=Access(scopes.WALLETS_READ, EACH_ROW, Cost.READ),
            operation_id="list_wallets",
            summary="Wallets, newest first",
            tags=["wallets"],
            response=PageOf(WalletBody),
        ),
    )


def transaction_reads(reads: LedgerReads, hash_reference: HashReference) -> Sequence[Route]:
    """Return the routes that read transactions."""
    handlers = _TransactionHandlers(reads, hash_reference)
    return (
        Route(
            method="GET",
            path=f"{_TRANSACTIONS}/{{transaction_id}}",
            handler=handlers.get,
            access=Access(scopes.TRANSACTIONS_READ, "{transaction_id}", Cost.READ),
            operation_id="get_transaction",
            summary="A transaction with all its entries",
            tags=["transactions"],
            response=TransactionBody,
            problems=[problems.TRANSACTION_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=_TRANSACTIONS,
            handler=handlers.list,
            access=Access(scopes.TRANSACTIONS_READ, EACH_ROW, Cost.READ),
            operation_id="list_transactions",
            summary="The transactions under a reference, newest first",
            tags=["transactions"],
            response=PageOf(TransactionBody),
        ),
    )


def hold_reads(reads: LedgerReads) -> Sequence[Route]:
    """Return the routes that read holds."""
    handlers = _HoldHandlers(reads)
    return (
        Route(
            method="GET",
            path=f"{_HOLDS}/{{hold_id}}",
            handler=handlers.get,
            access=Access(scopes.WALLETS_READ, "{hold_id}", Cost.READ),
            operation_id="get_hold",
            summary="A hold",
            tags=["holds"],
            response=HoldBody,
            problems=[problems.HOLD_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=_HOLDS,
            handler=handlers.list,
            access=Access(scopes.WALLETS_READ, EACH_ROW, Cost.READ),
            operation_id="list_holds",
            summary="A wallet's open holds, newest first",
            tags=["holds"],
            response=PageOf(HoldBody),
        ),
    )


@dataclass(frozen=True, slots=True)
class _HoldHandlers:
    reads: LedgerReads

    async def get(self, hold_id: PathId, caller: Caller) -> HoldBody:
        found = await self.reads.hold(mandate_of(caller), _hold_id(hold_id))
        if found is None:
            raise _hold_id.missing(hold_id)
        return hold_body(found)

    async def list(self, caller: Caller, page: Page, wallet_id: HoldsOf) -> PageBody[HoldBody]:
        mandate = mandate_of(caller)
        known = filtered_id(wallet_id, "wallet_id", "The wallet's id is not a UUID.")
        assert known is not None
        asked = paged(page, UUID, "holds", mandate, known)
        found = await self.reads.open_holds(mandate, known, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda hold: hold.id)
        return PageBody([hold_body(each) for each in shown.rows], shown.next_cursor)


@dataclass(frozen=True, slots=True)
class _WalletHandlers:
    reads: LedgerReads

    async def get(self, wallet_id: PathId, caller: Caller) -> WalletBody:
        mandate = mandate_of(caller)
        wallet = await self.reads.wallet(mandate, _wallet_id(wallet_id))
        if wallet is None:
            raise _wallet_id.missing(wallet_id)
        return wallet_body(wallet, mandate)

    async def list(
        self,
        caller: Caller,
        page: Page,
        owner_id: OwnerQuery = None,
        currency: CurrencyQuery = None,
        status: StatusQuery = None,
    ) -> PageBody[WalletBody]:
        wanted = WalletFilter(owner_id=owner_id, currency=currency, status=status)
        mandate = mandate_of(caller)
        asked = paged(page, UUID, "wallets", mandate, wanted)
        wallets = await self.reads.wallets(mandate, wanted, before=asked.position, limit=asked.limit)
        shown = asked.show(wallets, lambda wallet: wallet.id)
        return PageBody([wallet_body(wallet, mandate) for wallet in shown.rows], shown.next_cursor)


@dataclass(frozen=True, slots=True)
class _TransactionHandlers:
    reads: LedgerReads
    hash_reference: HashReference

    async def get(self, transaction_id: PathId, caller: Caller) -> TransactionBody:
        found = await self._bodies(mandate_of(caller), [_transaction_id(transaction_id)])
        if not found:
            raise _transaction_id.missing(transaction_id)
        return found[0]

    async def _bodies(self, mandate: Mandate, transaction_ids: Sequence[UUID]) -> list[TransactionBody]:
        entries = await self.reads.entries(mandate, transaction_ids)
        return transaction_bodies(entries, await self.reads.refunded(mandate.tenant_id, transaction_ids))

    async def list(self, caller: Caller, page: Page, reference: ReferenceQuery) -> PageBody[TransactionBody]:
        mandate, hashed = mandate_of(caller), self.hash_reference(caller.tenant_id, reference)
        asked = paged(page, UUID, "transactions", mandate, hashed)
        ids = await self.reads.transactions_by_reference(mandate, hashed, before=asked.position, limit=asked.limit)
        shown = asked.show(ids, lambda transaction_id: transaction_id)
        bodies = await self._bodies(mandate, shown.rows) if shown.rows else []
        return PageBody(bodies, shown.next_cursor)
