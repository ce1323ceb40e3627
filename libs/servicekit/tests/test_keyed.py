"""How what a command came to is answered over HTTP."""

import pytest

from contracts import problems
from servicekit.http.problems import Problem
from servicekit.http.routes.keyed import _response
from servicekit.idempotency import Answer, InFlight, KeyReused, Undone


@pytest.mark.parametrize(
    ("status", "media_type"),
    [
        (200, "application/json"),
        (201, "application/json"),
        (409, "application/problem+json"),
        (422, "application/problem+json"),
        (429, "application/problem+json"),
    ],
)
def test_every_stored_refusal_is_sent_as_a_problem(status: int, media_type: str) -> None:
    response = _response(Answer(status=status, body=b"{}", location="/things/1", is_replayed=True))

    assert (response.status_code, response.headers["content-type"]) == (status, media_type)
    assert (response.headers["location"], response.headers["idempotency-replayed"]) == ("/things/1", "true")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (KeyReused(), problems.IDEMPOTENCY_KEY_REUSED),
        (InFlight(), problems.IN_FLIGHT),
        (Undone(Problem(problems.RATE_LIMITED, "Too often.")), problems.RATE_LIMITED),
    ],
)
def test_what_was_not_done_is_a_problem(
    outcome: KeyReused | InFlight | Undone[Problem], code: problems.ProblemCode
) -> None:
    with pytest.raises(Problem) as raised:
        _response(outcome)

    assert raised.value.code is code
