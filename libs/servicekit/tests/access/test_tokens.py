"""Tokens: what is taken, and every attack that is not."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from contracts.access import ClaimMapping, IssuerChanged
from contracts.scopes import DEPOSITS_CREATE, TRANSFERS_CREATE, WALLETS_READ, mask_of
from servicekit.access.key_sets import read_key_set
from servicekit.access.tokens import (
    TOKEN_BYTES_MAX,
    Refusal,
    TokenPrincipal,
    TokenRefused,
    Unverified,
    read_unverified,
    verify_token,
)
from testkit.tokens import AUDIENCE, ISSUER, Signer, base64url, claims_at, hmac_token

TENANT = UUID("01900000-0000-7000-8000-000000000001")
ANOTHER = UUID("01900000-0000-7000-8000-000000000002")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SIGNERS = [Signer(alg, f"{alg}-key") for alg in ("ES256", "EdDSA", "RS256", "PS256")]
SIGNER = SIGNERS[0]
OTHER = Signer("ES256", "another")


def issuer(*, kinds: tuple[str, ...] = ("user",), **claims: Any) -> IssuerChanged:
    return IssuerChanged(
        issuer_id="01900000-0000-7000-8000-0000000000aa",
        name="login",
        issuer=ISSUER,
        audience=AUDIENCE,
        status="active",
        kinds=list(kinds),
        claims=ClaimMapping(**claims),
        max_lifetime_s=3_600,
        keys=read_key_set({"keys": [each.jwk for each in SIGNERS]}),
    )


def verified(token: str, known: IssuerChanged | None = None, *, now: datetime = NOW) -> TokenPrincipal | TokenRefused:
    return verify_token(token, known or issuer(), tenant_id=TENANT, now=now)


def principal(known: IssuerChanged | None = None, **claims: Any) -> TokenPrincipal:
    found = verified(SIGNER.token(claims_at(NOW_S, **claims)), known)
    assert isinstance(found, TokenPrincipal), found
    return found


def is_refused(token: str, known: IssuerChanged | None = None) -> bool:
    found = verified(token, known)
    return isinstance(found, TokenRefused) and found.reason is Refusal.UNAUTHENTICATED


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.alg)
def test_a_token_of_each_algorithm_is_taken(signer: Signer) -> None:
    token = signer.token(claims_at(NOW_S, scope="openid wallets:read deposits:create"))

    assert read_unverified(token) == Unverified(ISSUER, signer.kid, signer.alg)
    assert verified(token) == TokenPrincipal(
        tenant_id=TENANT,
        subject="login|ann",
        kind="user",
        scopes=WALLETS_READ.mask,
        acts_for=frozenset({"ann"}),
        issuer_id=UUID(issuer().issuer_id),
        kid=signer.kid,
        issued_at=NOW,
        ends_at=NOW + timedelta(seconds=330),
    )


PUBLIC_PEM = SIGNER.key.as_bytes(encoding="PEM", private=False)
PUBLIC_DER = SIGNER.key.get_op_key("verify").public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
GOOD = SIGNER.token(claims_at(NOW_S))
HEAD, BODY, SIGNATURE = GOOD.split(".")
UNSIGNED = base64url(json.dumps({"alg": "none", "kid": SIGNER.kid}).encode())
FORMS = {
    "nothing": "",
    "alg none": f"{UNSIGNED}.{BODY}.",
    "alg none, signature kept": f"{UNSIGNED}.{BODY}.{SIGNATURE}",
    "alg None": SIGNER.token(claims_at(NOW_S), alg="None"),
    "HS256 with the public key": hmac_token(PUBLIC_PEM, claims_at(NOW_S), kid=SIGNER.kid),
    "HS256 with the public key's DER": hmac_token(PUBLIC_DER, claims_at(NOW_S), kid=SIGNER.kid),
    "alg missing": SIGNER.token(claims_at(NOW_S), alg=None),
    "alg a list": SIGNER.token(claims_at(NOW_S), alg=["ES256"]),
    "alg ES384": SIGNER.token(claims_at(NOW_S), alg="ES384"),
    "stripped": f"{HEAD}.{BODY}.",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts": f"{HEAD}.{BODY}.{SIGNATURE}.{BODY}.{SIGNATURE}",
    "a dot before": f".{GOOD}",
    "padded": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "plain base64": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}+",
    "a space": f"{HEAD}. {BODY}.{SIGNATURE}",
    "a line break": f"{HEAD}.{BODY}.{SIGNATURE}\n",
    "beyond ASCII": f"{HEAD}.{BODY}.{SIGNATURE}\u00e9",
    "9 KiB": SIGNER.token(claims_at(NOW_S, more="x" * 9 * 1_024)),
    "header no JSON": SIGNER.signed(b"{", b"{}"),
    "header a list": SIGNER.signed(b"[]", b"{}"),
    "header with alg twice": SIGNER.signed(
        b'{"alg":"none","alg":"ES256","kid":"' + SIGNER.kid.encode() + b'"}', json.dumps(claims_at(NOW_S)).encode()
    ),
    "claims a list": SIGNER.raw(b"[]"),
    "claims a text": SIGNER.raw(b'"x"'),
    "claims no UTF-8": SIGNER.raw(b'{"iss":"\xff"}'),
    "claims with a mark": SIGNER.raw(b"\xef\xbb\xbf" + json.dumps(claims_at(NOW_S)).encode()),
    "claims in two documents": SIGNER.raw(json.dumps(claims_at(NOW_S)).encode() + b"{}"),
    "a claim twice": SIGNER.raw(json.dumps(claims_at(NOW_S)).encode()[:-1] + b',"sub":"bob"}'),
    "a claim twice, escaped": SIGNER.raw(json.dumps(claims_at(NOW_S)).encode()[:-1] + rb',"\u0073ub":"bob"}'),
    "a member twice within": SIGNER.raw(json.dumps(claims_at(NOW_S)).encode()[:-1] + b',"a":{"b":1,"b":2}}'),
    "NaN": SIGNER.raw(json.dumps(claims_at(NOW_S)).encode()[:-1] + b',"x":NaN}'),
    "deeper than a reader": SIGNER.raw(b'{"a":' * 900 + b"1" + b"}" * 900),
    "a number of 5,000 digits": SIGNER.raw(b'{"a":' + b"9" * 5_000 + b"}"),
    "kid missing": SIGNER.token(claims_at(NOW_S), kid=None),
    "kid a number": SIGNER.token(claims_at(NOW_S), kid=1),
    "kid empty": SIGNER.token(claims_at(NOW_S), kid=""),
    "typ of something else": SIGNER.token(claims_at(NOW_S), typ="dpop+jwt"),
    "typ of an identity token's logout": SIGNER.token(claims_at(NOW_S), typ="logout+jwt"),
    "typ a number": SIGNER.token(claims_at(NOW_S), typ=1),
    "crit": SIGNER.token(claims_at(NOW_S), crit=["exp"]),
    "b64": SIGNER.token(claims_at(NOW_S), b64=False, crit=["b64"]),
    "jku": SIGNER.token(claims_at(NOW_S), jku="https://evil.example.com/keys"),
    "x5u": SIGNER.token(claims_at(NOW_S), x5u="https://evil.example.com/keys"),
    "jwk": OTHER.token(claims_at(NOW_S), kid=SIGNER.kid, jwk=OTHER.jwk),
    "x5c": SIGNER.token(claims_at(NOW_S), x5c=["MIIB"]),
    "zip": SIGNER.token(claims_at(NOW_S), zip="DEF"),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_token_in_form_is_nobodys(name: str) -> None:
    assert read_unverified(FORMS[name]) is None
    assert is_refused(FORMS[name])


def with_low_bit_of_last_character(text: str) -> str:
    """Return base64url that decodes to the same bytes and is written in another way."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(text[-1])
    return text[:-1] + alphabet[at ^ 1]


CLAIMS: dict[str, dict[str, Any]] = {
    "iss missing": {"iss": None},
    "iss of another": {"iss": "https://evil.example.com/"},
    "iss without its slash": {"iss": ISSUER.rstrip("/")},
    "iss a list": {"iss": [ISSUER]},
    "aud missing": {"aud": None},
    "aud of another": {"aud": "somebody-else"},
    "aud in another case": {"aud": AUDIENCE.upper()},
    "aud empty": {"aud": []},
    "aud a map": {"aud": {AUDIENCE: 1}},
    "aud with a number": {"aud": [AUDIENCE, 1]},
    "aud of 21": {"aud": [AUDIENCE] * 21},
    "sub missing": {"sub": None},
    "sub empty": {"sub": ""},
    "sub a number": {"sub": 7},
    "sub a list": {"sub": ["ann"]},
    "sub with a NUL": {"sub": "an\0n"},
    "sub with a line break": {"sub": "ann\n"},
    "sub that turns text around": {"sub": "\u202eann"},
    "sub too long": {"sub": "a" * 250},
    "iat missing": {"iat": None},
    "iat ahead": {"iat": NOW_S + 31, "exp": NOW_S + 300},
    "iat a text": {"iat": str(NOW_S)},
    "iat true": {"iat": True},
    "iat negative": {"iat": -1, "exp": 10},
    "exp missing": {"exp": None},
    "exp a text": {"exp": str(NOW_S + 300)},
    "exp true": {"exp": True},
    "exp a list": {"exp": [NOW_S + 300]},
    "exp before iat": {"exp": NOW_S - 1},
    "exp at iat": {"exp": NOW_S},
    "exp beyond every year": {"exp": 1e300},
    "nbf ahead": {"nbf": NOW_S + 31},
    "nbf a text": {"nbf": "0"},
    "lifetime too long": {"exp": NOW_S + 3_601},
    "owners a map": {"sub": "ann", "owners": {"ann": 1}},
    "scope a map": {"scope": {"wallets:read": True}},
    "scope with a number": {"scope": ["wallets:read", 1]},
    "scope of 201": {"scope": " ".join(["x"] * 201)},
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_are_not_as_needed_are_refused(name: str) -> None:
    known = issuer(owners_claim="owners") if "owners" in CLAIMS[name] else issuer()

    assert is_refused(SIGNER.token(claims_at(NOW_S, **CLAIMS[name])), known)


@pytest.mark.parametrize("raw", [b"1e400", b"-1e400", b"1" + b"0" * 400])
def test_numbers_that_are_not_finite_are_refused(raw: bytes) -> None:
    text = json.dumps(claims_at(NOW_S)).encode().replace(b'"exp": ' + str(NOW_S + 300).encode(), b'"exp": ' + raw)

    assert is_refused(SIGNER.raw(text))


SIGNATURES = {
    "another's key": OTHER.token(claims_at(NOW_S), kid=SIGNER.kid),
    "unknown kid": OTHER.token(claims_at(NOW_S)),
    "kid of another algorithm": SIGNER.token(claims_at(NOW_S), kid="RS256-key"),
    "alg of another key": SIGNER.token(claims_at(NOW_S), alg="RS256"),
    "PS256 under the key of RS256": Signer("PS256", "PS256-key").token(claims_at(NOW_S), kid="RS256-key"),
    "truncated": GOOD[:-4],
    "all zeros": f"{HEAD}.{BODY}.{base64url(bytes(64))}",
    "a DER signature": f"{HEAD}.{BODY}.{base64url(bytes.fromhex('3006020101020101'))}",
    "of another token": f"{HEAD}.{base64url(json.dumps(claims_at(NOW_S, sub='bob')).encode())}.{SIGNATURE}",
    "written in another way": f"{HEAD}.{BODY}.{with_low_bit_of_last_character(SIGNATURE)}",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_that_is_not_the_keys_is_refused(name: str) -> None:
    assert is_refused(SIGNATURES[name])


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("AZaz09-_.=\0"))
def test_no_change_of_one_character_is_taken(at: int, character: str) -> None:
    changed = GOOD[:at] + character + GOOD[at + 1 :]

    assert changed == GOOD or is_refused(changed)


@given(st.text(max_size=200) | st.binary(max_size=60).map(lambda raw: f"{HEAD}.{base64url(raw)}.{SIGNATURE}"))
def test_any_text_is_refused_without_an_error(text: str) -> None:
    assert is_refused(text)


def test_the_longest_token_is_taken_and_one_byte_more_is_not() -> None:
    long = next(
        token
        for length in range(5_800, 6_100)
        if len(token := SIGNER.token(claims_at(NOW_S, more="x" * length))) >= TOKEN_BYTES_MAX - 1
    )

    assert len(long) <= TOKEN_BYTES_MAX
    assert isinstance(verified(long), TokenPrincipal)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-30, True), (-31, False), (329, True), (330, False), (100_000, False)]
)
def test_a_token_is_good_from_when_it_was_issued_until_it_ends(seconds: int, expected: bool) -> None:  # noqa: FBT001
    found = verified(GOOD, now=NOW + timedelta(seconds=seconds))

    assert isinstance(found, TokenPrincipal) is expected
    if seconds >= 330:
        assert found == TokenRefused(Refusal.TOKEN_EXPIRED, "The token has expired.")


def test_an_expired_token_with_a_wrong_signature_is_not_told_that_it_expired() -> None:
    token = OTHER.token(claims_at(NOW_S - 10_000), kid=SIGNER.kid)

    assert is_refused(token)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_types_of_access_tokens_are_taken(typ: str | None) -> None:
    assert isinstance(verified(SIGNER.token(claims_at(NOW_S), typ=typ)), TokenPrincipal)


def test_fractions_of_seconds_and_a_list_of_audiences_are_taken() -> None:
    found = principal(aud=["other", AUDIENCE], iat=NOW_S + 0.5, exp=NOW_S + 10.25, nbf=NOW_S + 29.5)

    assert found.ends_at == NOW + timedelta(seconds=40.25)


# -- what claims say


def test_owners_come_from_a_claim_of_their_own() -> None:
    known = issuer(owners_claim="https://example.com/owners")

    assert principal(known, **{"https://example.com/owners": ["a", "b"]}).acts_for == frozenset({"a", "b"})
    assert principal(known, **{"https://example.com/owners": "a"}).acts_for == frozenset({"a"})
    assert principal(known).acts_for == frozenset(), "a user without owner ids acts for none"
    assert principal(issuer(owners_claim=None)).acts_for == frozenset()


@pytest.mark.parametrize("owners", [None, 1, {}, [1], [""], ["a" * 101], ["a\0"], [str(n) for n in range(21)]])
def test_owners_of_another_form_are_refused(owners: Any) -> None:
    text = json.dumps(claims_at(NOW_S) | {"owners": owners}).encode()

    assert is_refused(SIGNER.raw(text), issuer(owners_claim="owners"))
    assert is_refused(SIGNER.raw(text), issuer(kinds=("service",), owners_claim="owners"))


@pytest.mark.parametrize("kind", ["service", "operator"])
def test_services_and_operators_act_for_all_unless_a_claim_limits_them(kind: str) -> None:
    assert principal(issuer(kinds=(kind,))).acts_for is None
    assert principal(issuer(kinds=(kind,), owners_claim="owners")).acts_for is None
    assert principal(issuer(kinds=(kind,), owners_claim="owners"), owners=[]).acts_for == frozenset()
    assert principal(issuer(kinds=(kind,), owners_claim="owners"), owners=["a"]).acts_for == frozenset({"a"})


def test_scopes_come_from_texts_lists_and_roles_and_only_those_of_the_kind() -> None:
    wanted = "wallets:read deposits:create unknown:scope"
    assert principal(scope=wanted).scopes == WALLETS_READ.mask
    assert principal(issuer(kinds=("service",)), scope=wanted).scopes == WALLETS_READ.mask | DEPOSITS_CREATE.mask
    assert principal(issuer(scopes_claim="scp"), scp=["wallets:read"], scope="transfers:create").scopes == 1
    roles = {"teller": ["transfers:create", "deposits:create"], "viewer": ["wallets:read"]}
    known = issuer(roles_claim="realm_access.roles", roles=roles)
    found = principal(known, realm_access={"roles": ["teller", "unknown"]}, scope="wallets:read")
    assert found.scopes == TRANSFERS_CREATE.mask | WALLETS_READ.mask
    assert principal(known).scopes == 0
    assert principal(issuer(), scope="tenants:write operations:read credentials:write").scopes == 0


def test_the_kind_comes_from_a_claim_only_among_the_issuers() -> None:
    known = issuer(kinds=("user", "service"), kind_claim="kind")

    assert principal(known, kind="service").kind == "service"
    for kind in ("operator", "", 1, None, ["user"]):
        assert is_refused(SIGNER.raw(json.dumps(claims_at(NOW_S) | {"kind": kind}).encode()), known)
    assert is_refused(SIGNER.token(claims_at(NOW_S)), known)
    assert is_refused(SIGNER.token(claims_at(NOW_S)), issuer(kinds=("user", "service")))


def test_the_tenant_comes_from_a_claim_only_where_the_issuer_says_so() -> None:
    assert principal(tenant=str(ANOTHER)).tenant_id == TENANT
    known = issuer(tenant_claim="tenant")
    assert principal(known, tenant=str(ANOTHER)).tenant_id == ANOTHER
    for tenant in (None, "", "x", ANOTHER.hex, "{" + str(ANOTHER) + "}", 1, [str(ANOTHER)]):
        assert is_refused(SIGNER.raw(json.dumps(claims_at(NOW_S) | {"tenant": tenant}).encode()), known)
    assert is_refused(SIGNER.token(claims_at(NOW_S)), known)


def test_equal_subjects_of_two_issuers_differ_and_none_is_a_platforms_own() -> None:
    assert principal(sub="fraud").subject == "login|fraud"
    assert principal(sub="svc:x|y").subject == "login|svc:x|y"
    assert len(principal(issuer(owners_claim=None), sub="a" * 249).subject) == 255


def test_no_scope_of_operators_can_be_a_users() -> None:
    every = "tenants:write operations:read risk:read credentials:write deposits:create wallets:restrict webhooks:write"

    assert principal(scope=every).scopes == 0
    assert principal(issuer(kinds=("operator",)), scope=every).scopes == mask_of(every.split())


def test_base64_of_the_test_is_the_products() -> None:
    assert (
        base64.urlsafe_b64decode(BODY + "=" * (-len(BODY) % 4))
        == json.dumps(claims_at(NOW_S), separators=(",", ":")).encode()
    )
