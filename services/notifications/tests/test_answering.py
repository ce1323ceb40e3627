"""What a stored answer is sent as follows from whether it is a problem, whatever its status."""

import pytest

from contracts.problems import PROBLEM_CODES
from notifications.application.idempotency import Answer
from notifications.domain.outcomes import RefusalCode
from notifications.entrypoints.answering import _response


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
def test_every_refusal_is_sent_as_a_problem(status: int, media_type: str) -> None:
    response = _response(Answer(status=status, body=b"{}", is_replayed=True))

    assert (response.status_code, response.headers["content-type"]) == (status, media_type)


@pytest.mark.parametrize("code", RefusalCode)
def test_every_refusal_is_a_registered_problem(code: RefusalCode) -> None:
    assert PROBLEM_CODES[code].code == code
