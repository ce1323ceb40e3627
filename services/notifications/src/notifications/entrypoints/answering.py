"""What commands come to, as answers and problems."""

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastapi import Response

from contracts import problems
from contracts.problems import PROBLEM_CODES
from notifications.domain.endpoints import DeliveryUnknown, EndpointUnknown, Refused, TooOften
from servicekit.http.problems import Problem
from servicekit.http.routes.keyed import KeyedCommands, Said, SentCommand, refusal
from servicekit.http.routes.parsing import path_id
from servicekit.idempotency import Answer, Undone
from servicekit.postgres import Transaction

T = TypeVar("T")

ENDPOINTS: Final = "/v1/webhook-endpoints"
DELIVERIES: Final = "/v1/deliveries"
OF_EVERY_OWNER: Final = "Of all of the tenant's owners: a caller that acts for some of them alone is refused."
"""What every route says of its callers: an endpoint is told of every wallet, and its deliveries are of any."""
OK: Final = 200
CREATED: Final = 201

endpoint_id_of: Final = path_id(problems.ENDPOINT_NOT_FOUND, "There is no such webhook endpoint.")
delivery_id_of: Final = path_id(problems.DELIVERY_NOT_FOUND, "There is no such delivery.")
TransientRefusal = EndpointUnknown | DeliveryUnknown | TooOften
"""A refusal that is not stored under the key: the same command may succeed later."""


async def answered(
    commands: KeyedCommands,
    sent: SentCommand,
    command: Callable[[Transaction], Awaitable[T | Refused | TransientRefusal]],
    render: Callable[[T], Answer],
    said: Said = None,
) -> Response:
    """Carry *command* out once under its key and answer what it came to; a rule's refusal is stored like a success."""

    async def work(tx: Transaction) -> Answer | Undone[Problem]:
        outcome = await command(tx)
        if isinstance(outcome, Refused):
            return refusal(Problem(PROBLEM_CODES[outcome.code], outcome.detail, **outcome.facts), sent)
        if isinstance(outcome, TransientRefusal):
            return Undone(problem_of(outcome))
        return render(outcome)

    return await commands.run(sent, work, said)


def problem_of(outcome: TransientRefusal) -> Problem:
    """Return the problem that *outcome* is answered with."""
    match outcome:
        case EndpointUnknown():
            return Problem(problems.ENDPOINT_NOT_FOUND, endpoint_id_of.detail)
        case DeliveryUnknown():
            return Problem(problems.DELIVERY_NOT_FOUND, delivery_id_of.detail)
        case TooOften(wait=wait):
            detail = "The endpoint was tested, recovered or resumed too often; nothing was done."
            return Problem(problems.RATE_LIMITED, detail, retry_after_s=math.ceil(wait.total_seconds()))
