"""What clients are told."""

import pytest

from servicekit.limits import Admission, Admitted, BeyondBurst, Limit, Limited, Rate
from servicekit.limits.headers import limit_value, policy_value, retry_after_s

RATE = Rate.of(50, burst=100)


def test_the_policy_is_the_burst_and_the_time_it_takes_to_come_back() -> None:
    assert policy_value(Limit.USER, RATE) == b'"user";q=100;w=2'
    assert policy_value(Limit.FAILED_AUTHENTICATIONS, Rate.of(1, burst=60)) == b'"failed_authentications";q=60;w=60'


@pytest.mark.parametrize(
    ("admission", "expected"),
    [
        (Admitted(Limit.USER, RATE, 100), b'"user";r=100;t=0'),
        (Admitted(Limit.USER, RATE, 99), b'"user";r=99;t=1'),
        (Admitted(Limit.USER, RATE, 0), b'"user";r=0;t=2'),
        (Admitted(Limit.USER, RATE, -7), b'"user";r=0;t=2'),
        (Admitted(Limit.USER, RATE, 500), b'"user";r=100;t=0'),
        (Limited(Limit.ADDRESS, RATE, 3, 2_000_001), b'"address";r=3;t=3'),
        (BeyondBurst(Limit.TENANT, RATE, 101), b'"tenant";r=100;t=0'),
    ],
)
def test_the_tightest_limit_is_told(admission: Admission, expected: bytes) -> None:
    assert limit_value(admission) == expected


@pytest.mark.parametrize(("microseconds", "seconds"), [(1, 1), (1_000_000, 1), (1_000_001, 2), (0, 1)])
def test_a_retry_is_told_in_whole_seconds(microseconds: int, seconds: int) -> None:
    assert retry_after_s(microseconds) == seconds
