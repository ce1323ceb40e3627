"""Admission on a real database: who is known, what a change makes void, and what is told to whom."""

from datetime import timedelta
from uuid import UUID

import pytest

from contracts import scopes
from contracts.envelope import rfc3339
from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.access.admission import (
    EVERY_OWNER,
    Access,
    AccessStale,
    Cost,
    InvalidAccessPosition,
    NotAllowed,
    NotAuthenticated,
)
from servicekit.read_model.waiting import PositionNotReached
from testkit.access import TENANT
from testkit.authority_bench import NAME, NOW, READS, Bench, client, known_key
from testkit.identities import TestIssuer, TestKey, introduce, make_test_key, subject_event, tenant_event

pytestmark = pytest.mark.integration


async def test_a_key_is_its_accounts(bench: Bench) -> None:
    key = await known_key(bench, acts_for=["ann"], scopes=["wallets:read"])

    principal = await bench.admit(key.text)

    assert (principal.tenant_id, principal.subject, principal.kind) == (TENANT, key.state.subject, Kind.SERVICE)
    assert (principal.acts_for, principal.scopes) == (frozenset({"ann"}), scopes.WALLETS_READ.mask)
    assert await bench.admit(key.text) is principal, "made once, and shared by its requests"


async def test_a_token_is_its_subjects(bench: Bench) -> None:
    issuer = TestIssuer()
    await bench.tell(issuer.event())

    principal = await bench.admit(issuer.token("alice", at=NOW))

    assert (principal.subject, principal.kind, principal.acts_for) == ("idp|alice", Kind.USER, frozenset({"alice"}))
    assert not principal.scopes & scopes.DEPOSITS_CREATE.mask


async def test_nobody_and_what_is_no_bearers_are_refused(bench: Bench) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await bench.authority.admit({}, client(None), READS)
    assert not refused.value.is_challenged

    for raw in (b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"Bearer \xc3\xa9", b"Bearer " + b"x" * 65_536):
        with pytest.raises(NotAuthenticated) as refused:
            await bench.authority.admit({b"authorization": raw}, client(None), READS)
        assert refused.value.code.code == "unauthenticated"


async def test_a_wrong_secret_learns_nothing_of_the_key(bench: Bench) -> None:
    key, other = await known_key(bench), make_test_key()
    await bench.tell(*key.events(is_revoked=True, digest=other.state.digest))

    assert await bench.code(key.text) == "unauthenticated"
    assert await bench.code(other.text) == "unauthenticated"


async def test_a_missing_scope_is_forbidden(bench: Bench) -> None:
    key = await known_key(bench, scopes=["wallets:read"])

    with pytest.raises(NotAllowed) as refused:
        await bench.admit(key.text, access=Access(scopes.DEPOSITS_CREATE, None, Cost.COMMAND))

    assert (refused.value.scope, refused.value.kind) == (scopes.DEPOSITS_CREATE, Kind.SERVICE)


async def test_what_is_of_every_owner_is_not_for_who_acts_for_some(bench: Bench) -> None:
    limited, every = await known_key(bench, acts_for=["ann"]), await known_key(bench)
    whole = Access(scopes.WALLETS_READ, EVERY_OWNER, Cost.READ)

    with pytest.raises(NotAllowed) as refused:
        await bench.admit(limited.text, access=whole)

    assert (refused.value.scope, refused.value.kind) == (None, Kind.SERVICE)
    assert (await bench.admit(every.text, access=whole)).acts_for is None
    assert (await bench.admit(limited.text)).owners == ("ann",)


async def test_scopes_that_a_kind_may_not_hold_are_not_held(bench: Bench) -> None:
    key = await known_key(bench, scopes=["tenants:write", "wallets:read"])

    assert (await bench.admit(key.text)).scopes == scopes.WALLETS_READ.mask


async def test_what_is_revoked_disabled_or_suspended_is_refused_from_the_next_look(bench: Bench) -> None:
    key, issuer = await known_key(bench), TestIssuer()
    await bench.tell(issuer.event())
    token = issuer.token("alice", at=NOW)
    await bench.admit(key.text)
    await bench.admit(token)

    await bench.tell(*key.events(is_revoked=True))
    assert await bench.code(key.text) == "key_revoked"
    await bench.tell(subject_event("idp|alice", status="disabled"))
    assert await bench.code(token) == "unauthenticated"
    await bench.tell(subject_event("idp|alice"), *key.events())
    await bench.admit(token)
    await bench.admit(key.text)
    await bench.tell(tenant_event(status="suspended"))
    assert [await bench.code(each) for each in (key.text, token)] == ["unauthenticated"] * 2


async def test_a_sign_out_voids_the_tokens_from_before(bench: Bench) -> None:
    issuer = TestIssuer()
    await bench.tell(issuer.event())
    before, after = issuer.token("alice", at=NOW), issuer.token("alice", at=NOW + timedelta(seconds=2))
    await bench.admit(before)

    await bench.tell(subject_event("idp|alice", valid_from=NOW + timedelta(seconds=1)))

    assert await bench.code(before) == "unauthenticated"
    assert (await bench.admit(after)).subject == "idp|alice"


async def test_tokens_end_with_their_issuer_and_with_its_key(bench: Bench) -> None:
    issuer = TestIssuer()
    await bench.tell(issuer.event())
    token = issuer.token("alice", at=NOW)
    await bench.admit(token)

    await bench.tell(issuer.event(keys=[]))
    assert await bench.code(token) == "unauthenticated"
    await bench.tell(issuer.event())
    await bench.admit(token)
    await bench.tell(issuer.event(status="deleted"))
    assert await bench.code(token) == "unauthenticated"


async def test_keys_and_tokens_end_by_this_clock(bench: Bench) -> None:
    issuer = TestIssuer()
    key = await known_key(bench, ends_at=NOW + timedelta(seconds=60))
    await bench.tell(issuer.event())
    token = issuer.token("alice", at=NOW, lifetime_s=60)
    await bench.admit(key.text)
    await bench.admit(token)

    bench.clock.pass_by(59.999)
    await bench.admit(key.text)
    bench.clock.pass_by(0.001)
    assert await bench.code(key.text) == "key_revoked"
    await bench.admit(token)  # the leeway
    bench.clock.pass_by(30)
    assert [await bench.code(token), await bench.code(token)] == ["token_expired"] * 2


async def test_a_rotated_key_ends_exactly_with_its_overlap(bench: Bench) -> None:
    key = await known_key(bench)
    await bench.admit(key.text)

    await bench.tell(*key.events(ends_at=rfc3339(NOW + timedelta(seconds=5))))

    bench.clock.pass_by(4.999999)
    await bench.admit(key.text)
    bench.clock.pass_by(0.000001)
    assert await bench.code(key.text) == "key_revoked"


async def test_a_key_is_good_from_its_ranges_alone(bench: Bench) -> None:
    key = await known_key(bench, ranges=["192.0.2.0/24", "2001:db8::/32"])

    for peer in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"):
        await bench.admit(key.text, peer=peer)
    for peer in ("192.0.3.1", "::1", "nonsense"):
        assert await bench.code(key.text, peer=peer) == "address_not_allowed"


async def test_who_has_just_made_a_key_sends_its_position(bench: Bench) -> None:
    key = make_test_key()
    assert await bench.code(key.text) == "unauthenticated"
    await introduce(bench.dsn, *key.events())
    async with bench.pool.connection() as connection:
        await connection.execute(
            "insert into servicekit.checkpoint (projection, shard, last_seq, topic_partition) values ($1, 3, 7, 3)",
            NAME,
        )

    await bench.admit(key.text, min_access_position="3-7")  # the refusal kept a moment ago does not count
    with pytest.raises(PositionNotReached):
        await bench.admit(key.text, min_access_position="3-8")
    with pytest.raises(InvalidAccessPosition):
        await bench.admit(key.text, min_access_position="yesterday")


async def test_a_refusal_is_kept_for_a_moment_and_dropped_by_a_change(bench: Bench) -> None:
    key = make_test_key()
    assert await bench.code(key.text) == "unauthenticated"
    await introduce(bench.dsn, *key.events())
    assert await bench.code(key.text) == "unauthenticated", "nothing was looked for yet"

    await bench.authority.look()

    await bench.admit(key.text)


async def test_an_entity_whose_event_is_parked_is_refused(bench: Bench) -> None:
    key = await known_key(bench)
    await bench.admit(key.text)
    async with bench.pool.connection() as connection:
        await connection.execute(
            """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
               values ($1, $2, 1, 1, 'x')""",
            NAME,
            UUID(key.state.key_id),
        )

    await bench.authority.look()
    assert await bench.code(key.text) == "unauthenticated"

    async with bench.pool.connection() as connection:
        await connection.execute("delete from servicekit.parked_subject")
    await bench.authority.look()
    await bench.admit(key.text)


async def test_staff_waits_where_nothing_was_heard_for_long(bench: Bench) -> None:
    staff, service = await known_key(bench, Kind.OPERATOR), await known_key(bench)
    async with bench.pool.connection() as connection:
        await connection.execute(
            "insert into servicekit.projection_lag values ($1, 0, 0, 0, clock_timestamp() - interval '10 s')", NAME
        )
    bench.clock.pass_by(310)
    await bench.authority.look()
    assert 9 < bench.authority.stale_s < 60
    await bench.admit(staff.text)

    bench.clock.pass_by(300)

    with pytest.raises(AccessStale):
        await bench.admit(staff.text)
    await bench.admit(service.text)


async def test_a_stopped_shard_is_as_if_nothing_were_heard(bench: Bench) -> None:
    staff = await known_key(bench, Kind.OPERATOR)
    async with bench.pool.connection() as connection:
        await connection.execute("insert into servicekit.projection_lag values ($1, 0, 0, 0, clock_timestamp())", NAME)
        await connection.execute(
            """insert into servicekit.checkpoint (projection, shard, topic_partition, stopped)
               values ($1, 1, 1, 'diverged')""",
            NAME,
        )
    bench.clock.pass_by(301)

    await bench.authority.look()

    with pytest.raises(AccessStale):
        await bench.admit(staff.text)


async def test_more_credentials_than_are_kept_are_verified_again(bench: Bench) -> None:
    keys = [await known_key(bench) for _ in range(6)]

    for _ in range(2):
        for key in keys:
            assert (await bench.admit(key.text)).subject == key.state.subject


async def test_an_issuers_tokens_are_one_tenants(bench: Bench) -> None:
    other = new_id()
    issuer = TestIssuer()
    twin = TestIssuer(tenant_id=other, key=issuer.key)  # made later: whoever was first has the issuer
    await bench.tell(tenant_event(other), issuer.event())
    token = issuer.token("alice", at=NOW)
    assert (await bench.admit(token)).tenant_id == TENANT

    await bench.tell(twin.event())

    assert (await bench.admit(issuer.token("alice", at=NOW, jti="x"))).tenant_id == TENANT


async def test_a_deep_look_shows_what_is_old_and_what_is_parked(bench: Bench) -> None:
    assert bench.authority.check()["access"].ok

    bench.clock.pass_by(301)

    check = bench.authority.check()["access"]
    assert (check.ok, check.detail) == (False, "up to date 301 s ago, 0 parked")


async def test_where_changes_went_back_nothing_is_known_by_heart(bench: Bench) -> None:
    key = await known_key(bench)
    await bench.admit(key.text)
    async with bench.pool.connection() as connection:
        # As after a restore from before the last change that was seen.
        await connection.execute(
            "update servicekit.access_entity set body = $1, change = 0 where id = $2", *_revoked(key)
        )

    await bench.authority.look()

    assert await bench.code(key.text) == "key_revoked"


def _revoked(key: TestKey) -> tuple[bytes, UUID]:
    account, changed = key.events(is_revoked=True)
    del account
    return changed.data, changed.subject
