"""The tenant that a request is about: its caller's own, or another that it names because it may make tenants."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from access.domain.grants import check_reach
from access.domain.outcomes import Entity, Unknown
from access.entrypoints.answering import Outcome, grantor_of, missing, refuse_forbidden
from access.entrypoints.requests import NAMED_TENANT
from access.identities.tenants import is_tenant
from contracts.ids import parse_id
from servicekit.http.edge.context import invalid_query
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError, Problem
from servicekit.http.routes.keyed import Said
from servicekit.postgres import Pool, Transaction
from servicekit.principal import Principal

T = TypeVar("T")

_Id = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
TenantQuery = Annotated[_Id | SkipJsonSchema[None], Query(alias="tenant_id", description=NAMED_TENANT)]
_NO_ID: Final = FieldError("/tenant_id", "invalid_id", "That is no tenant's id.")


@dataclass(frozen=True, slots=True)
class Whose:
    """The tenant that a request is about; *is_own*: its caller's."""

    tenant_id: UUID
    is_own: bool

    async def done(
        self, tx: Transaction, command: Callable[[Transaction, UUID], Awaitable[Outcome[T]]]
    ) -> Outcome[T] | Unknown:
        """Return what *command* on the tenant comes to; returns Unknown if there is no such tenant."""
        if self.is_own or await is_tenant(tx.connection, self.tenant_id):
            return await command(tx, self.tenant_id)
        return Unknown(Entity.TENANT)

    async def require(self, pool: Pool) -> None:
        """Raise Problem `tenant_not_found` where there is no such tenant; *pool* is not a reader's, who sees none."""
        if self.is_own:
            return
        async with pool.connection() as connection:
            if not await is_tenant(connection, self.tenant_id):
                raise missing(Entity.TENANT)

    def location(self, path: str) -> str | None:
        """Return *path*, where what was made is found; returns None if the caller is not the one who finds it there."""
        return path if self.is_own else None

    def said(self, body: BaseModel) -> Said:
        """Return what tells a command from another under the same key: one's own tenant may be named or not."""
        told = body.model_dump(exclude={"tenant_id"})
        return [told] if self.is_own else [told, str(self.tenant_id)]


def whose_by_query(caller: Principal, named: str | None) -> Whose:
    """Return the tenant that the query names, the caller's own where it names none.

    Raises Problem `invalid_query` for what is no id, and as `check_reach` says: Problem `tenant_not_found`, NotAllowed.
    """
    return _whose(caller, named, invalid_query)


def whose_by_body(caller: Principal, named: str | None) -> Whose:
    """Return the tenant that the body names; raises as `whose_by_query` does, Problem `invalid_request` for no id."""
    return _whose(caller, named, invalid_request)


def _whose(caller: Principal, named: str | None, refused: Callable[[FieldError], Problem]) -> Whose:
    tenant_id = caller.tenant_id if named is None else parse_id(named)
    if tenant_id is None:
        raise refused(_NO_ID)
    why_not = check_reach(grantor_of(caller), own=caller.tenant_id, named=tenant_id)
    if isinstance(why_not, Unknown):
        raise missing(why_not.entity)
    if why_not is not None:
        raise refuse_forbidden(why_not, caller)
    return Whose(tenant_id, is_own=tenant_id == caller.tenant_id)
