"""Key sets: public keys with one algorithm each, and everything else refused as a whole."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey

from servicekit.access.key_sets import DOCUMENT_BYTES_MAX, KeySetRefusal, KeySetRefused, parse_key_set, read_key_set
from testkit.tokens import Json, Signer, base64url

EC, OKP, RSA = (Signer(alg).jwk for alg in ("ES256", "EdDSA", "RS256"))


def rsa_jwk(exponent: int, bits: int) -> Json:
    """Return an RSA key as it stands in a set; joserfc itself would warn of some of them."""
    numbers = rsa.generate_private_key(exponent, bits).public_key().public_numbers()
    return {"kty": "RSA", "n": base64url(numbers.n.to_bytes(bits // 8)), "e": base64url(exponent.to_bytes(3))}


WEAK, SMALL_EXPONENT = rsa_jwk(65_537, 1_024), rsa_jwk(3, 2_048)


def without(jwk: Json, *names: str) -> Json:
    return {name: value for name, value in jwk.items() if name not in names}


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_are_kept_with_their_public_members_alone() -> None:
    found = parse_key_set(document(RSA | {"kid": "r", "x5c": ["MIIB"], "x5t": "x"}, OKP | {"kid": "o"}, EC))

    assert [(key.kid, key.alg) for key in found] == [("key-1", "ES256"), ("o", "EdDSA"), ("r", "RS256")]
    assert [sorted(key.jwk) for key in found] == [["crv", "kty", "x", "y"], ["crv", "kty", "x"], ["e", "kty", "n"]]


def test_the_algorithm_of_a_curve_need_not_be_told() -> None:
    found = read_key_set({"keys": [without(EC, "alg") | {"kid": "a"}, without(OKP, "alg", "use") | {"kid": "b"}]})

    assert [key.alg for key in found] == ["ES256", "EdDSA"]


def test_keys_for_something_else_are_left_out() -> None:
    others = [
        RSA | {"use": "enc", "alg": "RSA-OAEP"},
        RSA | {"alg": "RS512"},
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("Ed448").as_dict(private=False),
        {"kty": "future"},
    ]

    assert len(read_key_set({"keys": [*others, EC]})) == 1


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        ([], KeySetRefusal.NO_KEYS),
        ([{"kty": "future"}], KeySetRefusal.NO_KEYS),
        ([EC, Signer("ES256", "private").private_jwk], KeySetRefusal.PRIVATE_KEY),
        ([EC, Signer("RS256").private_jwk | {"use": "enc"}], KeySetRefusal.PRIVATE_KEY),
        ([EC, OctKey.generate_key(256).as_dict()], KeySetRefusal.PRIVATE_KEY),
        ([EC, {"kty": "oct"}], KeySetRefusal.PRIVATE_KEY),
        ([without(RSA, "alg")], KeySetRefusal.NO_ALGORITHM),
        ([without(EC, "kid")], KeySetRefusal.NO_KID),
        ([EC | {"kid": ""}], KeySetRefusal.NO_KID),
        ([EC | {"kid": 7}], KeySetRefusal.NO_KID),
        ([EC | {"kid": "a\0"}], KeySetRefusal.NO_KID),
        ([EC | {"kid": "a" * 256}], KeySetRefusal.NO_KID),
        ([EC, EC], KeySetRefusal.DOUBLED_KID),
        ([EC, OKP], KeySetRefusal.DOUBLED_KID),
        ([WEAK | {"kid": "w", "alg": "RS256"}], KeySetRefusal.WEAK_KEY),
        ([SMALL_EXPONENT | {"kid": "w", "alg": "PS256"}], KeySetRefusal.WEAK_KEY),
        ([RSA | {"e": "AQ"}], KeySetRefusal.WEAK_KEY),
        ([RSA | {"n": "AQ"}], KeySetRefusal.WEAK_KEY),
        ([RSA | {"n": ""}], KeySetRefusal.INVALID_KEY),
        ([EC | {"x": EC["y"]}], KeySetRefusal.INVALID_KEY),
        ([EC | {"x": 7}], KeySetRefusal.INVALID_KEY),
        ([EC | {"x": EC["x"] + "=="}], KeySetRefusal.INVALID_KEY),
        ([without(EC, "y")], KeySetRefusal.INVALID_KEY),
        ([EC | {"alg": "RS256"}], KeySetRefusal.INVALID_KEY),
        ([RSA | {"alg": "ES256"}], KeySetRefusal.INVALID_KEY),
        ([OKP | {"crv": "X25519"}], KeySetRefusal.INVALID_KEY),
        ([EC | {"crv": "P-384"}], KeySetRefusal.INVALID_KEY),
        ([EC | {"kid": str(number)} for number in range(21)], KeySetRefusal.TOO_MANY_KEYS),
        ([EC, "key"], KeySetRefusal.MALFORMED),
    ],
)
def test_a_set_that_is_not_as_needed_is_refused_as_a_whole(keys: list[Any], refusal: KeySetRefusal) -> None:
    with pytest.raises(KeySetRefused) as refused:
        parse_key_set(document(*keys))

    assert refused.value.refusal is refusal


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys":[],"keys":[]}', b"\xff", b"<html>"])
def test_what_is_no_key_set_is_refused(raw: bytes) -> None:
    with pytest.raises(KeySetRefused) as refused:
        parse_key_set(raw)

    assert refused.value.refusal is KeySetRefusal.MALFORMED


def test_a_set_has_a_size() -> None:
    padded = document(EC) + b" " * DOCUMENT_BYTES_MAX
    assert parse_key_set(padded[:DOCUMENT_BYTES_MAX])

    for raw in (padded[: DOCUMENT_BYTES_MAX + 1], b"x" * 1_000_000):
        with pytest.raises(KeySetRefused) as refused:
            parse_key_set(raw)
        assert refused.value.refusal is KeySetRefusal.TOO_LARGE


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["EC", "RSA", "P-256", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=5,
)
_jwks = st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid"]), _values)


@given(st.lists(_jwks.map(lambda changes: EC | changes) | _jwks, max_size=3))
def test_whatever_stands_in_a_set_is_read_or_refused(keys: list[Json]) -> None:
    try:
        found = parse_key_set(document(*keys))
    except KeySetRefused:
        return
    assert all(key.alg == "ES256" for key in found)
