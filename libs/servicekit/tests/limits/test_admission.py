"""One instance: what it decides in memory, and that it stays small."""

from servicekit.limits import Admitted, BeyondBurst, Charge, Limit, Limited, Limits, Rate, RatePolicy
from servicekit.limits.buckets import QUIET_MAX, SHARED_ID, Answer, Buckets, Report

SECOND_US = 1_000_000
TENANT = Charge(Limit.TENANT, b"tenant", b"tenant")
USER = Charge(Limit.USER, b"user", b"tenant")
ADDRESS = Charge(Limit.ADDRESS, b"addr")
POLICY = RatePolicy(
    tenant=Rate.of(100, burst=100), user=Rate.of(10, burst=10), failed_authentications=Rate.of(1, burst=60)
)


class Clock:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.now_us = 5 * SECOND_US

    def __call__(self) -> int:
        return self.now_us


def alone(policy: RatePolicy = POLICY, *, clock: Clock | None = None, buckets_max: int = 1_000) -> Limits:
    """Return the limits of the only instance there is."""
    limits = Limits(policy, clock=clock or Clock(), buckets_max=buckets_max)
    limits.buckets.settled([], [], 1, 0)
    return limits


def left_of(limits: Limits, charge: Charge) -> int:
    """Return how many units the instance holds of a bucket."""
    return limits.buckets.by_limit[charge.limit][charge.id].held


def settle(limits: Limits, clock: Clock, *, left: int = 100) -> int:
    """Grant what is asked for; return how many buckets were settled."""
    reports = limits.buckets.reports(clock.now_us)
    limits.buckets.settled(reports, [Answer(min(each.room, left), left) for each in reports], 1, clock.now_us)
    return len(reports)


def test_a_request_is_charged_everywhere_or_nowhere() -> None:
    limits = alone()

    admissions = [limits.admit([TENANT, USER, ADDRESS], 4) for _ in range(3)]

    assert [type(each) for each in admissions] == [Admitted, Admitted, Limited]
    assert (left_of(limits, TENANT), left_of(limits, USER)) == (92, 2)
    assert limits.refusals[Limit.USER] == sum(limits.refusals) == 1


def test_the_tightest_limit_is_told() -> None:
    limits = alone()

    admitted = limits.admit([TENANT, USER, ADDRESS])
    limited = limits.admit([TENANT, USER, ADDRESS], 10)

    assert admitted == Admitted(Limit.USER, POLICY.user, 9)
    assert limited == Limited(Limit.USER, POLICY.user, 9, SECOND_US // 10)


def test_what_can_never_be_admitted_is_told_apart() -> None:
    limits = alone()

    assert limits.admit([TENANT, USER], 11) == BeyondBurst(Limit.USER, POLICY.user, 11)
    assert (left_of(limits, TENANT), left_of(limits, USER)) == (100, 10)


def test_a_debited_wallet_has_a_bucket_of_its_own() -> None:
    limits = alone()
    rate = POLICY.wallet

    refusals = [limits.charge_wallet(b"wallet", b"tenant") for _ in range(rate.burst + 1)]

    assert refusals[:-1] == [None] * rate.burst
    assert isinstance(refusals[-1], Limited)
    assert (refusals[-1].limit, refusals[-1].rate) == (Limit.WALLET, rate)
    assert limits.charge_wallet(b"other", b"tenant") is None


def test_an_address_that_fails_sixty_times_is_not_listened_to_until_a_second_has_passed() -> None:
    clock = Clock()
    limits = alone(clock=clock)

    for _ in range(60):
        assert limits.may_authenticate(b"addr") is None
        limits.authentication_failed(b"addr")

    assert limits.may_authenticate(b"addr") == Limited(Limit.FAILED_AUTHENTICATIONS, Rate.of(1, burst=60), 0, SECOND_US)
    assert limits.may_authenticate(b"next") is None
    assert b"next" not in limits.buckets.by_limit[Limit.FAILED_AUTHENTICATIONS]


def test_a_bucket_that_is_hardly_used_costs_no_row_and_is_forgotten() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([TENANT, USER, ADDRESS])

    rows = []
    for _ in range(100):
        rows.append(settle(limits, clock))
        clock.now_us += SECOND_US // 10

    assert set(rows) == {0}
    assert all(not buckets for buckets in limits.buckets.by_limit)


def test_what_is_reserved_is_given_back_when_nobody_asks() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([USER], 5)
    settle(limits, clock)
    reserved = limits.buckets.by_limit[Limit.USER][b"user"].reserved

    debits = []
    for _ in range(QUIET_MAX + 10):
        reports = limits.buckets.reports(clock.now_us)
        debits += [report.debit for report in reports]
        limits.buckets.settled(reports, [Answer(0, 8) for _ in reports], 1, clock.now_us)

    assert reserved > 0
    assert debits == [-reserved]
    assert isinstance(limits.admit([USER], 8), Admitted)
    assert isinstance(limits.admit([USER], 1), Limited)


def test_what_was_lost_is_told_again_and_never_given_back_twice() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([USER], 5)

    first = limits.buckets.reports(clock.now_us)
    limits.buckets.lost(first, clock.now_us)
    again = limits.buckets.reports(clock.now_us)
    limits.buckets.settled(again, [Answer(5, 0)], 1, clock.now_us)
    leaving: list[Report] = []
    while not leaving:
        leaving = limits.buckets.reports(clock.now_us)
    limits.buckets.lost(leaving, clock.now_us)

    assert [report.debit for report in (*first, *again, *leaving)] == [5, 5, -5]
    assert limits.buckets.reports(clock.now_us) == []


def test_what_is_reserved_is_spent_without_a_row_until_half_is_left() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([USER], 5)
    settle(limits, clock)
    settle(limits, clock)

    rows = []
    for _ in range(3):
        limits.admit([TENANT, USER])
        reports = limits.buckets.reports(clock.now_us)
        rows.append([(each.debit, each.room) for each in reports])
        limits.buckets.settled(reports, [Answer(each.room, 9) for each in reports], 1, clock.now_us)

    assert left_of(limits, USER) >= 5
    assert rows == [[(0, 6)], [], []]


def test_what_is_spent_while_a_settlement_is_under_way_is_not_to_be_had_again() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([USER], 5)

    reports = limits.buckets.reports(clock.now_us)
    limits.admit([USER], 3)
    limits.buckets.settled(reports, [Answer(5, 0)], 1, clock.now_us)

    assert left_of(limits, USER) == 2
    assert [each.debit for each in limits.buckets.reports(clock.now_us)] == [0]


def test_at_the_end_everything_is_given_back() -> None:
    clock = Clock()
    limits = alone(clock=clock)
    limits.admit([TENANT, USER], 5)
    settle(limits, clock)
    limits.admit([USER], 2)

    assert [(each.bucket.limit, each.debit) for each in limits.buckets.last_reports()] == [(Limit.USER, -3)]


def test_there_are_never_more_buckets_than_the_bound() -> None:
    limits = alone(buckets_max=20)

    for n in range(200):
        limits.admit([Charge(Limit.USER, n.to_bytes(4))])

    assert len(limits.buckets.by_limit[Limit.USER]) == 20


def test_a_bucket_with_something_to_settle_is_not_evicted_and_newcomers_share_one() -> None:
    limits = alone(buckets_max=20)
    for n in range(20):
        limits.admit([Charge(Limit.USER, n.to_bytes(4))], 10)

    for n in range(20, 40):
        limits.admit([Charge(Limit.USER, n.to_bytes(4))])

    assert isinstance(limits.admit([Charge(Limit.USER, (0).to_bytes(4))]), Limited)
    assert isinstance(limits.admit([Charge(Limit.USER, (99).to_bytes(4))]), Limited)
    assert isinstance(limits.admit([TENANT]), Admitted)
    assert SHARED_ID in limits.buckets.by_limit[Limit.USER]
    assert len(limits.buckets.by_limit[Limit.USER]) == 21


def test_a_settlement_is_bounded_and_the_rest_comes_next() -> None:
    buckets = Buckets(POLICY)
    for n in range(5_000):
        buckets.awake(Limit.USER, n.to_bytes(4), None, 0).spent = 9

    sizes, seen = [], set()
    for _ in range(2):
        reports = buckets.reports(0)
        sizes.append(len(reports))
        seen |= {report.bucket.id for report in reports}
        buckets.settled(reports, [Answer(0, 0) for _ in reports], 1, 0)

    assert sizes == [4_096, 904]
    assert len(seen) == 5_000
