"""The routes of issuers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Response

from access.domain.issuers import Issuer
from access.domain.outcomes import Unknown
from access.entrypoints.answering import (
    CREATED,
    ISSUERS,
    NO_CONTENT,
    OK,
    POSITIONED,
    Commands,
    done_or_raise,
    grantor_of,
    issuer_id_of,
    missing,
    positioned,
)
from access.entrypoints.bodies import FetchedIssuerBody, IssuerBody, IssuersBody, fetched_issuer_body, issuer_body
from access.entrypoints.requests import ChangeIssuer, CreateIssuer, issuer_name_of, said, wanted_issuer_of
from access.entrypoints.routing import VOUCH, WRITE, command, leads_to, read
from access.identities.issuer_rows import find_issuer, find_issuers, find_polling
from access.identities.issuers import Issuers
from contracts import problems
from contracts.positions import format_position
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, SentCommand, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.idempotency import Answer
from servicekit.outbound.targets import UrlRefused
from servicekit.outbound.vetting import Vetting
from servicekit.postgres import Pool
from servicekit.tenant_pool import TenantPool

_TAG: Final = "issuers"
_ISSUER: Final = f"{ISSUERS}/{{issuer_id}}"
_OPERATIONS: Final = ("get_issuer", "change_issuer", "refresh_issuer", "delete_issuer")


@dataclass(frozen=True, slots=True)
class IssuerHandlers:
    """What is done with requests about issuers."""

    commands: Commands
    issuers: Issuers
    vetting: Vetting
    pool: Pool
    tenants: TenantPool

    async def list(self, caller: Caller, page: Page) -> IssuersBody:
        asked = paged(page, UUID, "issuers", caller.tenant_id)
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await find_issuers(connection, caller.tenant_id, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda issuer: issuer.id)
        return IssuersBody(data=[issuer_body(each) for each in shown.rows], next_cursor=shown.next_cursor)

    async def get(self, issuer_id: PathId, caller: Caller) -> FetchedIssuerBody:
        known = issuer_id_of(issuer_id)
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await find_issuer(connection, caller.tenant_id, known)
            if isinstance(found, Unknown):
                raise missing(found.entity)
            polling = await find_polling(connection, known)
        return fetched_issuer_body(found, polling)

    async def create(self, sent: Sent, body: CreateIssuer) -> Response:
        name, wanted, grantor = issuer_name_of(body), wanted_issuer_of(body), grantor_of(sent.caller)
        replayed = await self._replayed_or_vetted(sent, body)
        if replayed is not None:
            return replayed
        return await self.commands.answered(
            sent,
            lambda tx: self.issuers.create(tx, sent.tenant_id, name, wanted, grantor=grantor),
            _created,
            said(body),
        )

    async def change(self, issuer_id: PathId, sent: Sent, body: ChangeIssuer) -> Response:
        known, wanted, grantor = issuer_id_of(issuer_id), wanted_issuer_of(body), grantor_of(sent.caller)
        replayed = await self._replayed_or_vetted(sent, body)
        if replayed is not None:
            return replayed
        return await self.commands.answered(
            sent,
            lambda tx: self.issuers.change(tx, sent.tenant_id, known, wanted, grantor=grantor),
            _changed,
            said(body),
        )

    async def refresh(self, issuer_id: PathId, sent: Sent) -> Response:
        known = issuer_id_of(issuer_id)
        return await self.commands.answered(sent, lambda tx: self.issuers.refresh(tx, sent.tenant_id, known), _changed)

    async def delete(self, issuer_id: PathId, caller: Caller) -> Response:
        known = issuer_id_of(issuer_id)
        async with self.pool.transaction() as tx:
            done = done_or_raise(await self.issuers.delete(tx, caller.tenant_id, known), caller)
        return positioned(Response(status_code=NO_CONTENT), format_position(done.positions))

    async def _replayed_or_vetted(self, sent: SentCommand, body: ChangeIssuer) -> Response | None:
        """Return the stored answer; else None, with the URL of the key set vetted: it may be fetched from now."""
        if body.key_set_url is None:
            return None
        replayed = await self.commands.replayed(sent, said(body))
        if replayed is None:
            try:
                await self.vetting.vet(body.key_set_url, sent.tenant_id)
            except UrlRefused as refused:
                raise invalid_request(FieldError("/key_set_url", refused.refusal.value, refused.detail)) from None
        return replayed


def issuer_reads(handlers: IssuerHandlers) -> Sequence[Route]:
    """Return the routes that read issuers."""
    first = leads_to("issuer_id", "data/0/id", "get_issuer")
    return (
        read(
            ISSUERS, handlers.list, "list_issuers", "The tenant's issuers", tag=_TAG, response=IssuersBody, links=first
        ),
        read(
            _ISSUER,
            handlers.get,
            "get_issuer",
            "An issuer",
            problems.ISSUER_NOT_FOUND,
            tag=_TAG,
            response=FetchedIssuerBody,
        ),
    )


def issuer_commands(handlers: IssuerHandlers) -> Sequence[Route]:
    """Return the routes that change issuers."""
    links = leads_to("issuer_id", "id", *_OPERATIONS)
    return (
        command(
            ISSUERS,
            handlers.create,
            "create_issuer",
            "Believe an identity provider's tokens",
            problems.ISSUER_EXISTS,
            problems.ISSUER_LIMIT_REACHED,
            tag=_TAG,
            access=VOUCH,
            request=CreateIssuer,
            response=IssuerBody,
            status=CREATED,
            links=links,
        ),
        command(
            _ISSUER,
            handlers.change,
            "change_issuer",
            "Replace all of an issuer but its name",
            problems.ISSUER_NOT_FOUND,
            problems.ISSUER_EXISTS,
            tag=_TAG,
            access=VOUCH,
            method="PUT",
            request=ChangeIssuer,
            response=IssuerBody,
        ),
        command(
            f"{_ISSUER}/refresh",
            handlers.refresh,
            "refresh_issuer",
            "Fetch an issuer's keys at once",
            problems.ISSUER_NOT_FOUND,
            problems.NO_KEY_SET_URL,
            tag=_TAG,
            response=IssuerBody,
        ),
        Route(
            method="DELETE",
            path=_ISSUER,
            handler=handlers.delete,
            access=WRITE,
            operation_id="delete_issuer",
            summary="Believe no token of an issuer any more",
            tags=(_TAG,),
            status=NO_CONTENT,
            problems=[problems.ISSUER_NOT_FOUND],
            response_headers=POSITIONED,
        ),
    )


def _created(issuer: Issuer) -> Answer:
    return answer(CREATED, issuer_body(issuer), location=f"{ISSUERS}/{issuer.id}")


def _changed(issuer: Issuer) -> Answer:
    return answer(OK, issuer_body(issuer))
