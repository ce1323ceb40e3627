"""The routes of tenants: of one's own, and of all for those who may make them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Response

from access.domain.outcomes import Entity
from access.domain.tenants import Tenant, TenantStatus
from access.entrypoints.answering import CREATED, OK, TENANTS, Commands, missing, tenant_id_of
from access.entrypoints.bodies import TenantBody, TenantsBody, tenant_body
from access.entrypoints.requests import CreateTenant, said
from access.entrypoints.routing import STAFF, command, holds, leads_to, read
from access.identities.tenants import Tenants, find_tenants
from contracts import problems
from contracts.scopes import TENANTS_WRITE
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, SentCommand, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.idempotency import Answer
from servicekit.postgres import Pool
from servicekit.principal import Principal

_TAG: Final = "tenants"
_TENANT: Final = f"{TENANTS}/{{tenant_id}}"
_OPERATIONS: Final = ("get_tenant", "suspend_tenant", "resume_tenant")


@dataclass(frozen=True, slots=True)
class TenantHandlers:
    """What is done with requests about tenants."""

    commands: Commands
    tenants: Tenants
    pool: Pool

    async def list(self, caller: Caller, page: Page) -> TenantsBody:
        only = _only(caller)
        asked = paged(page, UUID, "tenants", only)
        async with self.pool.connection() as connection:
            found = await find_tenants(connection, only=only, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda tenant: tenant.id)
        return TenantsBody(data=[tenant_body(each) for each in shown.rows], next_cursor=shown.next_cursor)

    async def get(self, tenant_id: PathId, caller: Caller) -> TenantBody:
        known, only = tenant_id_of(tenant_id), _only(caller)
        if only is not None and only != known:
            raise missing(Entity.TENANT)
        async with self.pool.connection() as connection:
            found = await find_tenants(connection, only=known, before=None, limit=1)
        if not found:
            raise missing(Entity.TENANT)
        return tenant_body(found[0])

    async def create(self, sent: Sent, body: CreateTenant) -> Response:
        return await self.commands.answered(sent, lambda tx: self.tenants.create(tx, body.name), _created, said(body))

    async def suspend(self, tenant_id: PathId, sent: Sent) -> Response:
        return await self._set_status(tenant_id, sent, TenantStatus.SUSPENDED)

    async def resume(self, tenant_id: PathId, sent: Sent) -> Response:
        return await self._set_status(tenant_id, sent, TenantStatus.ACTIVE)

    async def _set_status(self, tenant_id: str, sent: SentCommand, wanted: TenantStatus) -> Response:
        known = tenant_id_of(tenant_id)
        return await self.commands.answered(
            sent, lambda tx: self.tenants.set_status(tx, known, wanted, caller=sent.tenant_id), _changed
        )


def tenant_routes(handlers: TenantHandlers) -> Sequence[Route]:
    """Return the routes of tenants."""
    links = leads_to("tenant_id", "id", *_OPERATIONS)
    first = leads_to("tenant_id", "data/0/id", "get_tenant")
    return (
        read(
            TENANTS,
            handlers.list,
            "list_tenants",
            "Tenants; without tenants:write one's own alone",
            tag=_TAG,
            response=TenantsBody,
            links=first,
        ),
        read(_TENANT, handlers.get, "get_tenant", "A tenant", problems.TENANT_NOT_FOUND, tag=_TAG, response=TenantBody),
        command(
            TENANTS,
            handlers.create,
            "create_tenant",
            "Create a tenant",
            tag=_TAG,
            access=STAFF,
            request=CreateTenant,
            response=TenantBody,
            status=CREATED,
            links=links,
        ),
        command(
            f"{_TENANT}/suspend",
            handlers.suspend,
            "suspend_tenant",
            "Admit nobody of a tenant",
            problems.TENANT_NOT_FOUND,
            problems.OWN_TENANT,
            tag=_TAG,
            access=STAFF,
            response=TenantBody,
        ),
        command(
            f"{_TENANT}/resume",
            handlers.resume,
            "resume_tenant",
            "Admit a tenant's callers again",
            problems.TENANT_NOT_FOUND,
            tag=_TAG,
            access=STAFF,
            response=TenantBody,
        ),
    )


def _only(caller: Principal) -> UUID | None:
    """Return the one tenant that *caller* may see, None where it may see all."""
    return None if holds(caller.scopes, TENANTS_WRITE) else caller.tenant_id


def _created(tenant: Tenant) -> Answer:
    return answer(CREATED, tenant_body(tenant), location=f"{TENANTS}/{tenant.id}")


def _changed(tenant: Tenant) -> Answer:
    return answer(OK, tenant_body(tenant))
