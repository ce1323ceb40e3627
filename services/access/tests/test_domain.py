"""The rules of identities, as properties."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from access.domain import accounts, issuers, keys, subjects
from access.domain.accounts import AccountStatus, ServiceAccount
from access.domain.grants import Grantor, check_grant, check_issuance
from access.domain.keys import LIFETIME_MAX, OVERLAP_MAX, ApiKey, Rotation, WantedKey
from access.domain.outcomes import Forbidden, Invalid, Refused
from access.domain.subjects import Subject
from contracts.ids import new_id
from contracts.scopes import SCOPES, Kind, mask_for, mask_of, names_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = UUID("01900000-0000-7000-8000-000000000001")
OWNERS = ("a", "b", "c")

kinds = st.sampled_from(sorted(Kind))
account_kinds = st.sampled_from(sorted(accounts.KINDS))
masks = st.integers(0, (1 << len(SCOPES)) - 1)
owners = st.none() | st.frozensets(st.sampled_from(OWNERS))
grantors = st.builds(Grantor, kind=kinds, scopes=masks, acts_for=owners)
wanteds = st.builds(
    WantedKey,
    scopes=masks.map(lambda mask: tuple(names_of(mask))),
    acts_for=owners.map(lambda given: None if given is None else tuple(sorted(given))),
    ranges=st.just(()),
    expires_at=st.none() | st.timedeltas(timedelta(days=-10), timedelta(days=500)).map(lambda ahead: NOW + ahead),
)


def account_of(kind: Kind) -> ServiceAccount:
    return ServiceAccount(
        id=new_id(),
        tenant_id=TENANT,
        name="n",
        kind=kind,
        status=AccountStatus.ACTIVE,
        created_at=NOW,
        updated_at=NOW,
    )


def key_of(account: ServiceAccount, *, ends_in: timedelta, is_revoked: bool) -> ApiKey:
    return ApiKey(
        id=new_id(),
        tenant_id=TENANT,
        service_account_id=account.id,
        scopes=("wallets:read",),
        acts_for=None,
        ranges=(),
        digest=bytes(32),
        created_at=NOW - timedelta(days=90),
        expires_at=NOW + timedelta(days=30),
        ends_at=NOW + ends_in,
        is_revoked=is_revoked,
    )


siblings = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), max_size=4)


def is_wider(acts_for: tuple[str, ...] | None, than: frozenset[str] | None) -> bool:
    return than is not None and (acts_for is None or not than.issuperset(acts_for))


@given(wanteds, account_kinds, grantors, siblings)
def test_a_key_is_never_more_than_its_maker_nor_than_its_kind_may(
    wanted: WantedKey, kind: Kind, grantor: Grantor, others: list[tuple[int, bool]]
) -> None:
    account = account_of(kind)
    kept = [key_of(account, ends_in=timedelta(days=days), is_revoked=gone) for days, gone in others]
    live = sum(days > 0 and not gone for days, gone in others)
    made = keys.decide_create(
        wanted, account=account, grantor=grantor, siblings=kept, key_id=new_id(), digest=bytes(32), now=NOW
    )

    mask = mask_of(wanted.scopes)
    is_valid = not mask & ~mask_for(kind) and (
        wanted.expires_at is None or NOW < wanted.expires_at <= NOW + LIFETIME_MAX
    )
    may = (
        not mask & ~grantor.scopes
        and not is_wider(wanted.acts_for, grantor.acts_for)
        and (kind is not Kind.OPERATOR or grantor.kind is Kind.OPERATOR)
    )
    match made:
        case ApiKey():
            assert is_valid
            assert may
            assert live < keys.LIVE_MAX
            assert made.ends_at == made.expires_at <= NOW + LIFETIME_MAX
        case Refused():
            assert is_valid
            assert may
            assert live >= keys.LIVE_MAX
        case Forbidden():
            assert is_valid
            assert not may
        case Invalid():
            assert not is_valid


@given(grantors, account_kinds, st.timedeltas(timedelta(), OVERLAP_MAX), siblings, st.integers(1, 30))
def test_a_rotation_ends_the_old_key_at_its_overlap_and_gives_nothing_more(
    grantor: Grantor, kind: Kind, overlap: timedelta, others: list[tuple[int, bool]], days: int
) -> None:
    account = account_of(kind)
    kept = [key_of(account, ends_in=timedelta(days=left), is_revoked=gone) for left, gone in others]
    old = key_of(account, ends_in=timedelta(days=days), is_revoked=False)
    rotated = keys.decide_rotate(
        old,
        overlap=overlap,
        account=account,
        grantor=grantor,
        siblings=kept,
        key_id=new_id(),
        digest=b"\1" * 32,
        now=NOW,
    )

    if isinstance(rotated, Rotation):
        live = [each for each in [*kept, rotated.old, rotated.new] if each.is_live(NOW)]
        assert len(live) <= keys.LIVE_MAX
        assert rotated.old.ends_at == min(old.ends_at, NOW + overlap)
        assert rotated.old.replaced_by == rotated.new.id
        assert not rotated.old.is_live(NOW + overlap)
        assert (rotated.new.scopes, rotated.new.acts_for) == (old.scopes, old.acts_for)
        assert rotated.new.expires_at - NOW == old.expires_at - old.created_at
        assert check_grant(grantor, kind=kind, scopes=mask_of(old.scopes), acts_for=old.acts_for) is None


@given(st.integers(-5, 5), st.booleans())
def test_a_revoked_key_is_never_live_and_no_revocation_makes_a_key_longer(days: int, gone: bool) -> None:  # noqa: FBT001
    key = key_of(account_of(Kind.SERVICE), ends_in=timedelta(days=days), is_revoked=gone)
    revoked = keys.decide_revoke(key, now=NOW)

    assert revoked.is_revoked
    assert revoked.ends_at <= key.ends_at
    assert not any(revoked.is_live(NOW + timedelta(days=ahead)) for ahead in range(-9, 9))
    assert keys.decide_revoke(revoked, now=NOW + timedelta(days=1)) == revoked


@given(grantors, st.sets(kinds, min_size=1))
def test_who_vouches_for_an_issuer_could_have_given_all_that_it_can(grantor: Grantor, issued: set[Kind]) -> None:
    forbidden = check_issuance(grantor, issued)

    everything = all(
        check_grant(grantor, kind=kind, scopes=1 << bit, acts_for=None) is None
        for kind in issued
        for bit in range(len(SCOPES))
        if mask_for(kind) & (1 << bit)
    )
    assert (forbidden is None) is everything


@given(st.text(max_size=40))
def test_a_name_of_an_issuer_is_nobody_elses(text: str) -> None:
    if subjects.is_issuer_name(text):
        assert text not in subjects.RESERVED
        assert subjects.issuer_name_of(f"{text}|x") == text
        assert subjects.account_id_of(f"{text}|x") is None


@given(st.text(max_size=300))
def test_a_subject_is_an_issuers_or_an_accounts_or_nobodys(text: str) -> None:
    name, account = subjects.issuer_name_of(text), subjects.account_id_of(text)

    assert name is None or account is None
    assert name is None or text.startswith(f"{name}|")
    assert account is None or text == subjects.account_subject(account)


@given(st.lists(st.integers(-100, 100), min_size=1))
def test_a_sign_out_never_moves_back(seconds: list[int]) -> None:
    subject = Subject(tenant_id=TENANT, subject="login|ann")
    for each in seconds:
        subject = subjects.decide_sign_out(subject, now=NOW + timedelta(seconds=each))

    assert subject.tokens_valid_from == NOW + timedelta(seconds=max(seconds))


def test_the_bounds_are_those_promised() -> None:
    assert (keys.LIVE_MAX, keys.OWNERS_MAX, issuers.ISSUERS_MAX) == (2, 100, 20)
    assert (keys.LIFETIME_DEFAULT.days, keys.LIFETIME_MAX.days, keys.OVERLAP_MAX.days) == (90, 400, 7)
