"""Who gets a worker's slots: no tenant, no slow endpoint and no failing one keeps another waiting."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.outcomes import AttemptOutcome
from notifications.domain.sharing import Candidate, Grant, Held, Slots, is_slow, share_out

A, B, C = (UUID(int=number) for number in range(1, 4))
MANY = 1_000


def endpoint(
    tenant: UUID, number: int, *, due: int = MANY, held: int = 0, slow: bool = False, failing: bool = False
) -> Candidate:
    return Candidate(
        endpoint_id=UUID(int=tenant.int * 1_000 + number),
        tenant_id=tenant,
        is_failing=failing,
        is_slow=slow,
        due=due,
        held=held,
    )


def endpoints(tenant: UUID, count: int, *, slow: bool = False, failing: bool = False) -> list[Candidate]:
    return [endpoint(tenant, number, slow=slow, failing=failing) for number in range(count)]


def slots(held: Mapping[UUID, Held] | None = None, *, capacity: int = 128, per_endpoint: int = 16) -> Slots:
    return Slots(capacity=capacity, per_endpoint=per_endpoint, held=held or {})


def by_tenant(grants: list[Grant]) -> Counter[UUID]:
    counted: Counter[UUID] = Counter()
    for grant in grants:
        counted[UUID(int=grant.endpoint_id.int // 1_000)] += grant.attempts
    return counted


def test_a_tenant_that_is_alone_has_all_but_the_reserve() -> None:
    assert by_tenant(share_out(endpoints(A, 100), slots())) == {A: 112}
    assert share_out([endpoint(A, 0, due=3)], slots())[0].attempts == 3


def test_beside_another_a_tenant_has_a_quarter() -> None:
    assert by_tenant(share_out([*endpoints(A, 100), endpoint(B, 0)], slots())) == {A: 32, B: 16}
    full = slots({A: Held(slots=32)})
    assert by_tenant(share_out([*endpoints(A, 100), endpoint(B, 0)], full)) == {B: 16}


def test_who_comes_when_one_tenant_has_all_finds_the_reserve() -> None:
    assert by_tenant(share_out([*endpoints(A, 100), *endpoints(B, 9)], slots({A: Held(slots=112)}))) == {B: 16}


def test_the_reserve_is_for_tenants_with_little() -> None:
    quarters = {UUID(int=number): Held(slots=28) for number in range(10, 14)}
    greedy = [each for tenant in quarters for each in endpoints(tenant, 5)]
    assert by_tenant(share_out([*greedy, *endpoints(A, 5)], slots(quarters))) == {A: 16}


def test_every_endpoint_has_its_first_before_any_its_second() -> None:
    grants = share_out(endpoints(A, 6), slots(capacity=8))
    assert sorted(grant.attempts for grant in grants) == [1, 1, 1, 1, 1, 2]


def test_endpoints_that_lag_share_half_of_the_slots() -> None:
    slow = [each for tenant in range(10, 20) for each in endpoints(UUID(int=tenant), 50, slow=True)]
    grants = share_out(slow, slots())
    assert sum(grant.attempts for grant in grants) == 64
    held = {UUID(int=tenant): Held(slots=16, lagging=16) for tenant in range(10, 14)}
    assert set(by_tenant(share_out([*slow, endpoint(A, 0)], slots(held)))) == {A}


def test_a_tenants_slow_endpoints_leave_half_to_its_quick_ones() -> None:
    own = [*endpoints(A, 100, slow=True), endpoint(A, 500)]
    grants = {grant.endpoint_id: grant for grant in share_out(own, slots({A: Held(slots=64, lagging=64)}))}
    assert list(grants) == [own[-1].endpoint_id]
    assert grants[own[-1].endpoint_id].attempts == 16


def test_quick_endpoints_do_not_keep_the_lagging_from_mending() -> None:
    grants = share_out([*endpoints(A, 8), endpoint(A, 500, failing=True)], slots(capacity=16, per_endpoint=4))
    assert {grant.attempts for grant in grants if grant.is_lagging} == {1}


def test_one_that_fails_has_one_attempt_and_a_slow_one_few() -> None:
    mixed = [endpoint(A, 0, failing=True), endpoint(A, 1, slow=True), endpoint(A, 2)]
    granted = {grant.endpoint_id: grant.attempts for grant in share_out(mixed, slots())}
    assert [granted[each.endpoint_id] for each in mixed] == [1, 4, 16]
    busy = [endpoint(A, 0, failing=True, held=1), endpoint(A, 1, slow=True, held=4), endpoint(A, 2, held=15)]
    assert [grant.attempts for grant in share_out(busy, slots())] == [1]


def test_what_takes_a_second_or_never_ends_is_slow() -> None:
    assert is_slow(AttemptOutcome.DELIVERED, 1_000)
    assert is_slow(AttemptOutcome.TIMEOUT, 300)
    assert not is_slow(AttemptOutcome.SERVER_ERROR, 999)


_TENANTS = st.integers(1, 5).map(lambda number: UUID(int=number))
_CANDIDATES = st.lists(
    st.builds(
        lambda tenant, **rest: (tenant, rest),
        _TENANTS,
        due=st.integers(0, 40),
        held=st.integers(0, 20),
        slow=st.booleans(),
        failing=st.booleans(),
    ),
    max_size=40,
)


@given(_CANDIDATES, st.integers(1, 64), st.integers(1, 16))
def test_no_bound_is_ever_broken(drawn: list[tuple[UUID, dict[str, int]]], capacity: int, per_endpoint: int) -> None:
    candidates = [endpoint(tenant, number, **rest) for number, (tenant, rest) in enumerate(drawn)]  # type: ignore[arg-type]  # drawn as such
    known = {each.endpoint_id: each for each in candidates}
    grants = share_out(candidates, slots(capacity=capacity, per_endpoint=per_endpoint))
    tenants = {each.tenant_id for each in candidates if each.due}

    assert sum(grant.attempts for grant in grants) <= capacity
    assert sum(grant.attempts for grant in grants if grant.is_lagging) <= max(1, capacity // 2)
    for tenant, attempts in by_tenant(grants).items():
        assert attempts <= (capacity if tenants == {tenant} else max(1, capacity // 4))
    for grant in grants:
        candidate = known[grant.endpoint_id]
        assert 1 <= grant.attempts <= candidate.due
        assert candidate.held + grant.attempts <= grant.attempts_max <= per_endpoint
    if any(each.due and not each.held for each in candidates):
        assert grants, "while something is due and a slot is free, something is begun"
