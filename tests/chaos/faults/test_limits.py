"""What a flood comes to is reckoned from what was asked and answered."""

from tests.chaos.faults.limits import BURST, PER_S, Flooded, flooded_of
from tests.chaos.load.client import Response
from tests.chaos.load.flood import Asked

SECONDS = 10.0


def asked(sent_s: float, status: int | None, code: str = "") -> tuple[Asked, Response | None]:
    """Return a request and its answer, None for none."""
    answer = None if status is None else Response(status, {"retry-after": "1"}, f'{{"code": "{code}"}}'.encode())
    return Asked("key", "payer", "payee", sent_s), answer


def test_all_but_what_a_limit_refused_was_admitted() -> None:
    found = flooded_of(
        [asked(0.5, 201), asked(1.0, 429, "rate_limited"), asked(2.0, 503, "overloaded"), asked(2.5, None)]
    )

    assert (found.admitted, found.limited, found.seconds) == (3, 1, 2.0)


def test_what_burst_and_rate_allow_is_no_overshoot() -> None:
    allowed = BURST + PER_S * int(SECONDS)

    assert Flooded(allowed, 1, SECONDS).overshoot == 0
    assert round(Flooded(allowed * 11 // 10, 1, SECONDS).overshoot, 3) == 0.1
    assert Flooded(PER_S * int(SECONDS), 1, SECONDS).of_the_rate == 1
