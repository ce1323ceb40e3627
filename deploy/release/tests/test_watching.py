"""When clients are worse off than before the switch."""

import pytest

from release.domain.watching import REQUESTS_MIN, Answered, Figures, figures_of, worse


def test_figures_are_those_of_all_requests() -> None:
    answered = [Answered(0, 503 if number == 7 else 201, number) for number in range(100)]

    assert figures_of(answered) == Figures(requests=100, failed=1, p99_ms=99)
    assert figures_of([]) == Figures(0, 0, 0)


@pytest.mark.parametrize(
    ("now", "calm_p99_ms", "is_worse"),
    [
        (Figures(1000, 10, 20), 20, False),
        (Figures(1000, 11, 20), 20, True),
        (Figures(1000, 0, 1_000), 20, False),
        (Figures(1000, 0, 1_001), 20, True),
        (Figures(1000, 0, 1_001), 101, False),
        (Figures(1000, 0, 1_001), None, True),
        (Figures(REQUESTS_MIN - 1, REQUESTS_MIN - 1, 20), 20, False),
    ],
)
def test_worse_is_more_failed_or_much_slower(now: Figures, calm_p99_ms: int | None, *, is_worse: bool) -> None:
    assert (worse(now, calm_p99_ms) is not None) == is_worse
