"""What a rule refuses is a registered problem."""

import pytest

from contracts.problems import PROBLEM_CODES
from notifications.domain.outcomes import RefusalCode


@pytest.mark.parametrize("code", RefusalCode)
def test_every_refusal_is_a_registered_problem(code: RefusalCode) -> None:
    assert PROBLEM_CODES[code].code == code
