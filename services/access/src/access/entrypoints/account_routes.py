"""The routes of service accounts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Response

from access.domain.accounts import ServiceAccount
from access.domain.outcomes import Unknown
from access.entrypoints.answering import (
    ACCOUNTS,
    CREATED,
    NO_CONTENT,
    OK,
    POSITIONED,
    Commands,
    Outcome,
    account_id_of,
    done_or_raise,
    grantor_of,
    missing,
    positioned,
)
from access.entrypoints.bodies import ServiceAccountBody, ServiceAccountsBody, account_body
from access.entrypoints.named_tenants import Whose, whose_by_body
from access.entrypoints.requests import CreateServiceAccount, RenameServiceAccount, said
from access.entrypoints.routing import WRITE, command, leads_to, read
from access.identities.accounts import Accounts, find_account, find_accounts
from contracts import problems
from contracts.positions import format_position
from contracts.scopes import Kind
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.idempotency import Answer
from servicekit.postgres import Pool, Transaction
from servicekit.tenant_pool import TenantPool

_TAG: Final = "service accounts"
ACCOUNT: Final = f"{ACCOUNTS}/{{service_account_id}}"
_OPERATIONS: Final = (
    "get_service_account",
    "rename_service_account",
    "create_api_key",
    "list_api_keys",
    "delete_service_account",
)


@dataclass(frozen=True, slots=True)
class AccountHandlers:
    """What is done with requests about service accounts."""

    commands: Commands
    accounts: Accounts
    pool: Pool
    tenants: TenantPool

    async def list(self, caller: Caller, page: Page) -> ServiceAccountsBody:
        asked = paged(page, UUID, "service_accounts", caller.tenant_id)
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await find_accounts(connection, caller.tenant_id, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda account: account.id)
        return ServiceAccountsBody(data=[account_body(each) for each in shown.rows], next_cursor=shown.next_cursor)

    async def get(self, service_account_id: PathId, caller: Caller) -> ServiceAccountBody:
        known = account_id_of(service_account_id)
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await find_account(connection, caller.tenant_id, known)
        if isinstance(found, Unknown):
            raise missing(found.entity)
        return account_body(found)

    async def create(self, sent: Sent, body: CreateServiceAccount) -> Response:
        kind, grantor = Kind(body.kind), grantor_of(sent.caller)
        whose = whose_by_body(sent.caller, body.tenant_id)

        async def create(tx: Transaction, tenant_id: UUID) -> Outcome[ServiceAccount]:
            return await self.accounts.create(tx, tenant_id, body.name, kind, grantor=grantor)

        return await self.commands.answered(
            sent, lambda tx: whose.done(tx, create), _created_in(whose), whose.said(body)
        )

    async def rename(self, service_account_id: PathId, sent: Sent, body: RenameServiceAccount) -> Response:
        known = account_id_of(service_account_id)
        return await self.commands.answered(
            sent, lambda tx: self.accounts.rename(tx, sent.tenant_id, known, body.name), _changed, said(body)
        )

    async def delete(self, service_account_id: PathId, caller: Caller) -> Response:
        known = account_id_of(service_account_id)
        async with self.pool.transaction() as tx:
            done = done_or_raise(await self.accounts.delete(tx, caller.tenant_id, known), caller)
        return positioned(Response(status_code=NO_CONTENT), format_position(done.positions))


def account_routes(handlers: AccountHandlers) -> Sequence[Route]:
    """Return the routes of service accounts."""
    links = leads_to("service_account_id", "id", *_OPERATIONS)
    first = leads_to("service_account_id", "data/0/id", "get_service_account")
    return (
        read(
            ACCOUNTS,
            handlers.list,
            "list_service_accounts",
            "The tenant's service accounts",
            tag=_TAG,
            response=ServiceAccountsBody,
            links=first,
        ),
        read(
            ACCOUNT,
            handlers.get,
            "get_service_account",
            "A service account",
            problems.SERVICE_ACCOUNT_NOT_FOUND,
            tag=_TAG,
            response=ServiceAccountBody,
        ),
        command(
            ACCOUNTS,
            handlers.create,
            "create_service_account",
            "Create a service account",
            problems.SERVICE_ACCOUNT_LIMIT_REACHED,
            problems.TENANT_NOT_FOUND,
            tag=_TAG,
            request=CreateServiceAccount,
            response=ServiceAccountBody,
            status=CREATED,
            links=links,
        ),
        command(
            ACCOUNT,
            handlers.rename,
            "rename_service_account",
            "Rename a service account",
            problems.SERVICE_ACCOUNT_NOT_FOUND,
            tag=_TAG,
            method="PUT",
            request=RenameServiceAccount,
            response=ServiceAccountBody,
        ),
        Route(
            method="DELETE",
            path=ACCOUNT,
            handler=handlers.delete,
            access=WRITE,
            operation_id="delete_service_account",
            summary="Delete a service account and revoke its keys",
            tags=(_TAG,),
            status=NO_CONTENT,
            problems=[problems.SERVICE_ACCOUNT_NOT_FOUND],
            response_headers=POSITIONED,
        ),
    )


def _created_in(whose: Whose) -> Callable[[ServiceAccount], Answer]:
    return lambda account: answer(CREATED, account_body(account), location=whose.location(f"{ACCOUNTS}/{account.id}"))


def _changed(account: ServiceAccount) -> Answer:
    return answer(OK, account_body(account))
