"""Commands over HTTP: each happens once under its key, and what a repeat is answered has no secret."""

import hashlib
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec
from fastapi import Depends, Response
from pydantic import BaseModel

from contracts import problems
from contracts.problems import PROBLEM_CODES
from notifications.application.commands import DeliveryUnknown, EndpointUnknown, Refused, TooOften
from notifications.application.idempotency import Answer, InFlight, Keyed, KeyReused, Once
from servicekit.http.problems import PROBLEM_TYPE, Problem, is_problem
from servicekit.http.routes.dependencies import Caller, Context, IdempotencyKey
from servicekit.http.routes.parsing import path_id
from servicekit.http.routes.responses import json_response
from servicekit.postgres import Transaction
from servicekit.principal import Principal

RETRY_AFTER_S: Final = 1
endpoint_id_of: Final = path_id(problems.ENDPOINT_NOT_FOUND, "There is no such webhook endpoint.")
delivery_id_of: Final = path_id(problems.DELIVERY_NOT_FOUND, "There is no such delivery.")
Work = Callable[[Transaction], Awaitable[Answer]]
Said = Sequence[object] | None
"""What a command says besides its path, parsed: however it was spelt, the same is the same."""


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command as it came: who sends it, under which key, to which path."""

    caller: Principal
    key: str
    path: str

    @property
    def tenant_id(self) -> UUID:
        """Whose endpoints it is about."""
        return self.caller.tenant_id


def _sent(caller: Caller, key: IdempotencyKey, context: Context) -> SentCommand:
    # Every route is written small, and so are ids in their canonical form.
    return SentCommand(caller, key, context.path.lower())


Sent = Annotated[SentCommand, Depends(_sent)]


class Commands:
    """Answers commands, each once under its key."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def replay(self, sent: SentCommand, said: Said = None) -> Response | None:
        """Return the stored answer, None where the key is free; what costs something is done only then."""
        with told():
            answer = await self._once.replay(_keyed(sent, said))
        return None if answer is None else _response(answer)

    async def run(self, sent: SentCommand, work: Work, said: Said = None) -> Response:
        """Do *work* once, and answer it or what was answered before; a refusal is stored like a success."""

        async def refusable(tx: Transaction) -> Answer:
            try:
                return await work(tx)
            except Refused as refused:
                problem = Problem(PROBLEM_CODES[refused.code], refused.detail, **refused.facts)
                return Answer(status=problem.code.status, body=problem.render(sent.path))

        with told():
            return _response(await self._once.run(_keyed(sent, said), refusable))


def _keyed(sent: SentCommand, said: Said) -> Keyed:
    request = msgspec.json.encode([sent.path, said])
    return Keyed(client=sent.caller.client, key=sent.key, fingerprint=hashlib.sha256(request).digest())


@contextmanager
def told() -> Iterator[None]:
    """Answer what the application found out as problems."""
    try:
        yield
    except EndpointUnknown:
        raise Problem(problems.ENDPOINT_NOT_FOUND, "There is no such webhook endpoint.") from None
    except DeliveryUnknown:
        raise Problem(problems.DELIVERY_NOT_FOUND, "There is no such delivery.") from None
    except TooOften as often:
        detail = "The endpoint was tested, recovered or resumed too often; nothing was done."
        raise Problem(problems.RATE_LIMITED, detail, retry_after_s=math.ceil(often.wait.total_seconds())) from None
    except KeyReused:
        detail = "The key was used for another request; nothing was done."
        raise Problem(problems.IDEMPOTENCY_KEY_REUSED, detail) from None
    except InFlight:
        detail = "Another request is working on the key."
        raise Problem(problems.IN_FLIGHT, detail, retry_after_s=RETRY_AFTER_S) from None


def answer(status: int, body: BaseModel, *, location: str | None = None, stored: BaseModel | None = None) -> Answer:
    """Return a command's answer; *stored* is *body* without its secret."""
    return Answer(
        status=status,
        body=body.model_dump_json().encode(),
        location=location,
        stored=None if stored is None else stored.model_dump_json().encode(),
    )


def _response(given: Answer) -> Response:
    headers = {}
    if given.location is not None:
        headers["location"] = given.location
    if given.is_replayed:
        headers["idempotency-replayed"] = "true"
    if is_problem(given.status):
        return Response(given.body, given.status, headers=headers, media_type=PROBLEM_TYPE.decode())
    return json_response(given.body, given.status, headers)
