"""What the application finds out is answered as its problem, anything else as what it is."""

import pytest

from contracts import problems
from servicekit.http.problems import Problem, ProblemMap, raises_as_problems

PROBLEM_MAP: ProblemMap = {
    KeyError: (problems.WALLET_NOT_FOUND, "There is no such wallet."),
    LookupError: (problems.NOT_FOUND, "There is nothing."),
}


@pytest.mark.parametrize(
    ("found", "code"),
    [(KeyError(), "wallet_not_found"), (LookupError(), "not_found"), (IndexError(), "not_found")],
)
def test_what_was_found_out_is_answered_as_its_problem(found: Exception, code: str) -> None:
    with pytest.raises(Problem) as raised, raises_as_problems(PROBLEM_MAP):
        raise found

    assert raised.value.code.code == code
    assert raised.value.__suppress_context__


def test_anything_else_is_left_as_it_is() -> None:
    with pytest.raises(ValueError, match="a bug"), raises_as_problems(PROBLEM_MAP):
        raise ValueError("a bug")
