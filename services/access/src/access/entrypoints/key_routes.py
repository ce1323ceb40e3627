"""The routes of API keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import Response

from access.domain.outcomes import Unknown
from access.entrypoints.account_routes import ACCOUNT
from access.entrypoints.answering import CREATED, KEYS, OK, Commands, account_id_of, grantor_of, key_id_of, missing
from access.entrypoints.bodies import (
    ApiKeyBody,
    ApiKeysBody,
    NewApiKeyBody,
    RotatedApiKeyBody,
    key_body,
    new_key_body,
    rotated_key_body,
)
from access.entrypoints.named_tenants import Whose, whose_by_body
from access.entrypoints.requests import CreateApiKey, RotateApiKey, said, wanted_key_of
from access.entrypoints.routing import MAKE, command, leads_to, read
from access.identities.accounts import find_account
from access.identities.key_rows import find_keys
from access.identities.keys import KeyOf, Keys, Made, key_with_account
from contracts import problems
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import Sent, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.idempotency import Answer
from servicekit.tenant_pool import TenantPool

_TAG: Final = "API keys"
_KEY: Final = f"{KEYS}/{{key_id}}"
_OPERATIONS: Final = ("get_api_key", "rotate_api_key", "revoke_api_key")


@dataclass(frozen=True, slots=True)
class KeyHandlers:
    """What is done with requests about API keys."""

    commands: Commands
    keys: Keys
    tenants: TenantPool

    async def list(self, service_account_id: PathId, caller: Caller, page: Page) -> ApiKeysBody:
        known = account_id_of(service_account_id)
        asked = paged(page, UUID, "api_keys", caller.tenant_id, known)
        async with self.tenants.reading(caller.tenant_id) as connection:
            account = await find_account(connection, caller.tenant_id, known)
            if isinstance(account, Unknown):
                raise missing(account.entity)
            found = await find_keys(connection, caller.tenant_id, known, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda key: key.id)
        data = [key_body(KeyOf(key=key, subject=account.subject, kind=account.kind)) for key in shown.rows]
        return ApiKeysBody(data=data, next_cursor=shown.next_cursor)

    async def get(self, key_id: PathId, caller: Caller) -> ApiKeyBody:
        known = key_id_of(key_id)
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await key_with_account(connection, caller.tenant_id, known)
        if isinstance(found, Unknown):
            raise missing(found.entity)
        return key_body(found)

    async def create(self, service_account_id: PathId, sent: Sent, body: CreateApiKey) -> Response:
        known, wanted, grantor = account_id_of(service_account_id), wanted_key_of(body), grantor_of(sent.caller)
        whose = whose_by_body(sent.caller, body.tenant_id)
        return await self.commands.answered(
            sent,
            lambda tx: self.keys.create(tx, whose.tenant_id, known, wanted, grantor=grantor),
            _created_in(whose),
            whose.said(body),
        )

    async def rotate(self, key_id: PathId, sent: Sent, body: RotateApiKey) -> Response:
        known, overlap, grantor = key_id_of(key_id), timedelta(seconds=body.overlap_s), grantor_of(sent.caller)
        return await self.commands.answered(
            sent,
            lambda tx: self.keys.rotate(tx, sent.tenant_id, known, overlap, grantor=grantor),
            _rotated,
            said(body),
        )

    async def revoke(self, key_id: PathId, sent: Sent) -> Response:
        known = key_id_of(key_id)
        return await self.commands.answered(sent, lambda tx: self.keys.revoke(tx, sent.tenant_id, known), _revoked)


def key_reads(handlers: KeyHandlers) -> Sequence[Route]:
    """Return the routes that read API keys."""
    first = leads_to("key_id", "data/0/id", "get_api_key")
    return (
        read(
            f"{ACCOUNT}/keys",
            handlers.list,
            "list_api_keys",
            "The keys of a service account",
            problems.SERVICE_ACCOUNT_NOT_FOUND,
            tag=_TAG,
            response=ApiKeysBody,
            links=first,
        ),
        read(
            _KEY,
            handlers.get,
            "get_api_key",
            "A key, without its secret",
            problems.API_KEY_NOT_FOUND,
            tag=_TAG,
            response=ApiKeyBody,
        ),
    )


def key_commands(handlers: KeyHandlers) -> Sequence[Route]:
    """Return the routes that make, replace and end API keys."""
    links = leads_to("key_id", "id", *_OPERATIONS)
    return (
        command(
            f"{ACCOUNT}/keys",
            handlers.create,
            "create_api_key",
            "Create a key; it is shown once",
            problems.SERVICE_ACCOUNT_NOT_FOUND,
            problems.API_KEY_LIMIT_REACHED,
            problems.TENANT_NOT_FOUND,
            tag=_TAG,
            access=MAKE,
            request=CreateApiKey,
            response=NewApiKeyBody,
            status=CREATED,
            links=links,
        ),
        command(
            f"{_KEY}/rotate",
            handlers.rotate,
            "rotate_api_key",
            "Replace a key by a new one, shown once",
            problems.API_KEY_NOT_FOUND,
            problems.API_KEY_NOT_LIVE,
            problems.API_KEY_LIMIT_REACHED,
            tag=_TAG,
            access=MAKE,
            request=RotateApiKey,
            response=RotatedApiKeyBody,
            status=CREATED,
            links=links,
        ),
        command(
            f"{_KEY}/revoke",
            handlers.revoke,
            "revoke_api_key",
            "End a key at once",
            problems.API_KEY_NOT_FOUND,
            tag=_TAG,
            response=ApiKeyBody,
        ),
    )


def _created_in(whose: Whose) -> Callable[[Made], Answer]:
    def created(made: Made) -> Answer:
        shown, stored = (new_key_body(made, text) for text in (made.text, None))
        return answer(CREATED, shown, location=whose.location(f"{KEYS}/{made.made.key.id}"), stored=stored)

    return created


def _rotated(made: Made) -> Answer:
    shown, stored = (rotated_key_body(made, text) for text in (made.text, None))
    return answer(CREATED, shown, location=f"{KEYS}/{made.made.key.id}", stored=stored)


def _revoked(revoked: KeyOf) -> Answer:
    return answer(OK, key_body(revoked))
