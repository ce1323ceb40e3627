"""The routes of subjects, of rate limits, and of what callers ask about themselves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Response

from access.domain.limits import RateLimits
from access.domain.outcomes import Unknown
from access.domain.subjects import Subject, SubjectStatus
from access.entrypoints.answering import OK, SUBJECTS, Commands, Outcome, missing
from access.entrypoints.bodies import (
    RateLimitsBody,
    ScopesBody,
    SubjectBody,
    WhoamiBody,
    limits_body,
    scopes_body,
    subject_body,
    whoami_body,
)
from access.entrypoints.named_tenants import TenantQuery, whose_by_query
from access.entrypoints.requests import PutRateLimits, rates_of
from access.entrypoints.routing import STAFF, command, read
from access.identities.limits import Limits, find_limits
from access.identities.subjects import Subjects, find_subject
from contracts import problems
from servicekit.access.admission import Access, Cost
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller
from servicekit.http.routes.keyed import Sent, SentCommand, answer
from servicekit.idempotency import Answer
from servicekit.postgres import Transaction
from servicekit.tenant_pool import TenantPool

_TAG: Final = "subjects"
_LIMITS_TAG: Final = "rate limits"
_ABOUT_TAG: Final = "about"
_SUBJECT: Final = f"{SUBJECTS}/{{subject}}"
_WHOEVER: Final = Access(None, None, Cost.READ)

SubjectText = Annotated[
    str,
    Path(
        description="`<issuer's name>|<sub>` or `svc:<service account id>`, percent-encoded.",
        json_schema_extra={"pattern": r"^(?:[a-z][a-z0-9-]{0,30}\|.+|svc:[0-9a-f-]{36})$"},
    ),
]


@dataclass(frozen=True, slots=True)
class SubjectHandlers:
    """What is done with requests about subjects."""

    commands: Commands
    subjects: Subjects
    tenants: TenantPool

    async def get(self, subject: SubjectText, caller: Caller) -> SubjectBody:
        async with self.tenants.reading(caller.tenant_id) as connection:
            found = await find_subject(connection, caller.tenant_id, subject)
        if isinstance(found, Unknown):
            raise missing(found.entity)
        return subject_body(found)

    async def disable(self, subject: SubjectText, sent: Sent) -> Response:
        wanted = SubjectStatus.DISABLED
        return await self._answered(
            sent, subject, lambda tx: self.subjects.set_status(tx, sent.tenant_id, subject, wanted)
        )

    async def enable(self, subject: SubjectText, sent: Sent) -> Response:
        wanted = SubjectStatus.ACTIVE
        return await self._answered(
            sent, subject, lambda tx: self.subjects.set_status(tx, sent.tenant_id, subject, wanted)
        )

    async def sign_out(self, subject: SubjectText, sent: Sent) -> Response:
        return await self._answered(sent, subject, lambda tx: self.subjects.sign_out(tx, sent.tenant_id, subject))

    async def _answered(
        self, sent: SentCommand, subject: str, command: Callable[[Transaction], Awaitable[Outcome[Subject]]]
    ) -> Response:
        # A path is compared without its case, and two subjects may differ by that alone.
        return await self.commands.answered(sent, command, _changed, [subject])


@dataclass(frozen=True, slots=True)
class LimitHandlers:
    """What is done with requests about rate limits."""

    commands: Commands
    limits: Limits
    tenants: TenantPool

    async def get(self, caller: Caller, tenant_id: TenantQuery = None) -> RateLimitsBody:
        whose = whose_by_query(caller, tenant_id)
        await whose.require(self.commands.pool)
        async with self.tenants.reading(whose.tenant_id) as connection:
            return limits_body(await find_limits(connection, whose.tenant_id))

    async def put(self, sent: Sent, body: PutRateLimits, tenant_id: TenantQuery = None) -> Response:
        whose, rates = whose_by_query(sent.caller, tenant_id), rates_of(body)

        async def put(tx: Transaction, tenant_id: UUID) -> Outcome[RateLimits]:
            return await self.limits.put(tx, tenant_id, rates)

        return await self.commands.answered(sent, lambda tx: whose.done(tx, put), _limited, whose.said(body))


async def whoami(caller: Caller) -> WhoamiBody:
    """Return who the caller is."""
    return whoami_body(caller)


async def scopes(caller: Caller) -> ScopesBody:
    """Return the registry of scopes."""
    del caller
    return scopes_body()


def subject_routes(handlers: SubjectHandlers) -> Sequence[Route]:
    """Return the routes of subjects."""
    missing_one = problems.SUBJECT_NOT_FOUND
    return (
        read(
            _SUBJECT,
            handlers.get,
            "get_subject",
            "What was said of a subject",
            missing_one,
            tag=_TAG,
            response=SubjectBody,
        ),
        command(
            f"{_SUBJECT}/disable",
            handlers.disable,
            "disable_subject",
            "Admit a subject no more",
            missing_one,
            tag=_TAG,
            response=SubjectBody,
        ),
        command(
            f"{_SUBJECT}/enable",
            handlers.enable,
            "enable_subject",
            "Admit a subject again",
            missing_one,
            tag=_TAG,
            response=SubjectBody,
        ),
        command(
            f"{_SUBJECT}/sign-out",
            handlers.sign_out,
            "sign_out_subject",
            "Make void every token that was issued before now",
            missing_one,
            tag=_TAG,
            response=SubjectBody,
        ),
    )


def limit_routes(handlers: LimitHandlers) -> Sequence[Route]:
    """Return the routes of rate limits."""
    path = "/v1/rate-limits"
    return (
        read(
            path,
            handlers.get,
            "get_rate_limits",
            "A tenant's own rates",
            problems.TENANT_NOT_FOUND,
            tag=_LIMITS_TAG,
            response=RateLimitsBody,
        ),
        command(
            path,
            handlers.put,
            "put_rate_limits",
            "Replace a tenant's own rates",
            problems.TENANT_NOT_FOUND,
            tag=_LIMITS_TAG,
            access=STAFF,
            method="PUT",
            request=PutRateLimits,
            response=RateLimitsBody,
        ),
    )


def about_routes() -> Sequence[Route]:
    """Return the routes that anybody may ask who is authenticated."""
    return (
        read(
            "/v1/whoami",
            whoami,
            "whoami",
            "Who the caller is, and what it may do",
            tag=_ABOUT_TAG,
            response=WhoamiBody,
            access=_WHOEVER,
        ),
        read("/v1/scopes", scopes, "list_scopes", "Every scope", tag=_ABOUT_TAG, response=ScopesBody, access=_WHOEVER),
    )


def _changed(subject: Subject) -> Answer:
    return answer(OK, subject_body(subject))


def _limited(limits: RateLimits) -> Answer:
    return answer(OK, limits_body(limits))
