"""What commands come to, as answers and problems."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from fastapi import Response

from access.domain.grants import Grantor
from access.domain.outcomes import Entity, Forbidden, Invalid, Refused, Unknown
from access.identities.command_positions import keep_position, position_of
from access.identities.recording import Done
from contracts import problems
from contracts.positions import format_position
from contracts.problems import PROBLEM_CODES
from contracts.scopes import scope_named
from servicekit.access.admission import NotAllowed
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError, Problem
from servicekit.http.routes.keyed import KeyedCommands, Said, SentCommand, refusal
from servicekit.http.routes.parsing import path_id
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Pool, Transaction
from servicekit.principal import Principal

T = TypeVar("T")

OK: Final = 200
CREATED: Final = 201
NO_CONTENT: Final = 204

TENANTS: Final = "/v1/tenants"
ISSUERS: Final = "/v1/issuers"
ACCOUNTS: Final = "/v1/service-accounts"
KEYS: Final = "/v1/api-keys"
SUBJECTS: Final = "/v1/subjects"

POSITION_HEADER: Final = "access-position"
POSITIONED: Final = {
    "Access-Position": "Where the change stands: sent as `Min-Access-Position`, it makes a request wait until the "
    "service asked has heard of it."
}

tenant_id_of: Final = path_id(problems.TENANT_NOT_FOUND, "There is no such tenant.")
issuer_id_of: Final = path_id(problems.ISSUER_NOT_FOUND, "There is no such issuer.")
account_id_of: Final = path_id(problems.SERVICE_ACCOUNT_NOT_FOUND, "There is no such service account.")
key_id_of: Final = path_id(problems.API_KEY_NOT_FOUND, "There is no such API key.")
_MISSING: Final = {
    Entity.TENANT: (problems.TENANT_NOT_FOUND, tenant_id_of.detail),
    Entity.ISSUER: (problems.ISSUER_NOT_FOUND, issuer_id_of.detail),
    Entity.SERVICE_ACCOUNT: (problems.SERVICE_ACCOUNT_NOT_FOUND, account_id_of.detail),
    Entity.API_KEY: (problems.API_KEY_NOT_FOUND, key_id_of.detail),
    Entity.SUBJECT: (problems.SUBJECT_NOT_FOUND, "The tenant can have no such subject."),
}

Outcome = Done[T] | Refused | Unknown | Forbidden | Invalid


def grantor_of(caller: Principal) -> Grantor:
    """Return what *caller* may give to others."""
    return Grantor(kind=caller.kind, scopes=caller.scopes, acts_for=caller.acts_for)


@dataclass(frozen=True, slots=True)
class Commands:
    """Answers commands, each once under its key, and tells where their changes stand, in a repeat too."""

    keyed: KeyedCommands
    pool: Pool

    async def replayed(self, sent: SentCommand, said: Said = None) -> Response | None:
        """Return the stored answer, None where the key is free; what costs something is done only then."""
        found = await self.keyed.replay(sent, said)
        return None if found is None else positioned(found, await self._position(sent))

    async def answered(
        self,
        sent: SentCommand,
        command: Callable[[Transaction], Awaitable[Outcome[T]]],
        render: Callable[[T], Answer],
        said: Said = None,
    ) -> Response:
        """Carry *command* out and answer what it came to: a rule's refusal is stored like a success.

        Raises Problem, and NotAllowed, where nothing was done: the key stays free then.
        """
        told: str | None = None

        async def work(tx: Transaction) -> Answer | Undone[Problem]:
            nonlocal told
            outcome = await command(tx)
            if isinstance(outcome, Refused):
                return refusal(Problem(PROBLEM_CODES[outcome.code], outcome.detail, **outcome.facts), sent)
            done = done_or_raise(outcome, sent.caller)
            if done.positions:
                told = format_position(done.positions)
                await keep_position(tx, sent.caller.client, sent.key, told)
            return render(done.result)

        response = await self.keyed.run(sent, work, said)
        position = told
        if "idempotency-replayed" in response.headers:
            position = await self._position(sent)
        return positioned(response, position)

    async def _position(self, sent: SentCommand) -> str | None:
        return await position_of(self.pool, sent.caller.client, sent.key)


def positioned(response: Response, position: str | None) -> Response:
    """Return *response* with where the change stands, where there was one."""
    if position is not None:
        response.headers[POSITION_HEADER] = position
    return response


def done_or_raise(outcome: Done[T] | Unknown | Forbidden | Invalid, caller: Principal) -> Done[T]:
    """Return *outcome* if it was done; raise Problem, or NotAllowed, if it was not."""
    match outcome:
        case Done():
            return outcome
        case Unknown(entity=entity):
            raise missing(entity)
        case Forbidden():
            raise refuse_forbidden(outcome, caller)
        case Invalid(pointer=pointer, code=code, detail=detail):
            raise invalid_request(FieldError(pointer, code, detail))


def refuse_forbidden(why: Forbidden, caller: Principal) -> NotAllowed:
    """Return the exception that tells *caller* what is not its own to give."""
    return NotAllowed(why.detail, kind=caller.kind, scope=None if why.scope is None else scope_named(why.scope))


def missing(entity: Entity) -> Problem:
    """Return the problem that there is no such entity: what is another tenant's is not found either."""
    return Problem(*_MISSING[entity])
