"""Commands of ordinary routes: each happens once under its Idempotency-Key, and a repeat is answered what is stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, assert_never
from uuid import UUID

import msgspec
from fastapi import Depends, Response
from pydantic import BaseModel

from contracts import problems
from servicekit.access.admission import UNLIMITED, Allowance
from servicekit.failures import RETRY_AFTER_S
from servicekit.http.problems import PROBLEM_TYPE, Problem, is_problem
from servicekit.http.routes.dependencies import Admitted, Context, IdempotencyKey
from servicekit.http.routes.responses import json_response
from servicekit.idempotency import Answer, InFlight, Keyed, KeyedOperation, KeyReused, Once, Undone
from servicekit.postgres import Transaction
from servicekit.principal import Principal

Said = Sequence[object] | None
"""What a command says besides its path, parsed: however it was spelt, the same is the same."""


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command as it came: who sends it, under which key, to which path."""

    caller: Principal
    key: str
    path: str
    allowance: Allowance = UNLIMITED

    @property
    def tenant_id(self) -> UUID:
        """Whose data it is about."""
        return self.caller.tenant_id


async def _sent(admission: Admitted, key: IdempotencyKey, context: Context) -> SentCommand:
    # Every route is written small, and so are ids in their canonical form.
    return SentCommand(admission.principal, key, context.path.lower(), admission.allowance)


Sent = Annotated[SentCommand, Depends(_sent)]


class KeyedCommands:
    """Answers commands, each once under its key."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def replay(self, sent: SentCommand, said: Said = None) -> Response | None:
        """Return the stored answer, None where the key is free; what costs something is done only then."""
        found = await self._once.replay(_keyed(sent, said))
        return None if found is None else _response(found)

    async def run(self, sent: SentCommand, work: KeyedOperation[Problem], said: Said = None) -> Response:
        """Do *work* once, and answer it or what was answered before; raise the Problem that it was undone for.

        Raises Limited where the caller's allowance does not reach: what is answered again costs nothing.
        """

        async def charged(tx: Transaction) -> Answer | Undone[Problem]:
            await sent.allowance.begin(tx)
            return await work(tx)

        return _response(await self._once.run(_keyed(sent, said), charged))


def answer(status: int, body: BaseModel, *, location: str | None = None, stored: BaseModel | None = None) -> Answer:
    """Return a command's answer; *stored* is *body* without its secret."""
    return Answer(
        status=status,
        body=body.model_dump_json().encode(),
        location=location,
        stored=None if stored is None else stored.model_dump_json().encode(),
    )


def refusal(problem: Problem, sent: SentCommand) -> Answer:
    """Return a refusal that is stored like a success: a repeat is refused alike, whatever has changed since."""
    return Answer(status=problem.code.status, body=problem.render(sent.path))


def _keyed(sent: SentCommand, said: Said) -> Keyed:
    request = msgspec.json.encode([sent.path, said])
    return Keyed(client=sent.caller.client, key=sent.key, fingerprint=hashlib.sha256(request).digest())


def _response(outcome: Answer | Undone[Problem] | KeyReused | InFlight) -> Response:
    match outcome:
        case Answer():
            return _response_of(outcome)
        case Undone(reason=problem):
            raise problem
        case KeyReused():
            detail = "The key was used for another request; nothing was done."
            raise Problem(problems.IDEMPOTENCY_KEY_REUSED, detail)
        case InFlight():
            detail = "Another request is working on the key."
            raise Problem(problems.IN_FLIGHT, detail, retry_after_s=RETRY_AFTER_S)
        case _:
            assert_never(outcome)


def _response_of(given: Answer) -> Response:
    headers = {}
    if given.location is not None:
        headers["location"] = given.location
    if given.is_replayed:
        headers["idempotency-replayed"] = "true"
    if is_problem(given.status):
        return Response(given.body, given.status, headers=headers, media_type=PROBLEM_TYPE.decode())
    return json_response(given.body, given.status, headers)
