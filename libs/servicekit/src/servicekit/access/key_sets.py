"""Key sets of issuers (RFC 7517): which of their members are public keys that this platform verifies with. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from contracts.access import IssuerKey
from servicekit.access.strict_json import NotStrict, base64url_bytes, object_of

DOCUMENT_BYTES_MAX: Final = 256 * 1_024
KEYS_MAX: Final = 20
KID_CHARACTERS_MAX: Final = 255
RSA_BITS_MIN: Final = 2_048
RSA_BITS_MAX: Final = 8_192
"""A longer one costs more to verify with than a request may."""
EXPONENT_MIN: Final = 65_537
"""The common one. Smaller ones, above all 1, make signatures easy to forge."""
EXPONENT_MAX: Final = 2**32 - 1

ALGORITHMS: Final = frozenset({"ES256", "EdDSA", "RS256", "PS256"})
"""What a token may be signed with. Keys for others, or for encryption, stand in many sets and are left out."""

_MEMBERS: Final[Mapping[str, Sequence[str]]] = {
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "RSA": ("n", "e"),
}
"""The public members of each kind of key."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_BY_CURVE: Final = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_KINDS: Final = {"ES256": "EC", "EdDSA": "OKP", "RS256": "RSA", "PS256": "RSA"}


class KeySetRefusal(StrEnum):
    """Why a key set is refused as a whole."""

    MALFORMED = "key_set_malformed"
    TOO_LARGE = "key_set_too_large"
    NO_KEYS = "key_set_no_keys"
    TOO_MANY_KEYS = "key_set_too_many_keys"
    PRIVATE_KEY = "key_set_private_key"
    NO_ALGORITHM = "key_set_no_algorithm"
    NO_KID = "key_set_no_kid"
    DOUBLED_KID = "key_set_doubled_kid"
    WEAK_KEY = "key_set_weak_key"
    INVALID_KEY = "key_set_invalid_key"


class KeySetRefused(ValueError):
    """The key set is none that an issuer may have."""

    def __init__(self, refusal: KeySetRefusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


def parse_key_set(document: bytes) -> list[IssuerKey]:
    """Return the keys of the JWKS *document* as `read_key_set` does; raises KeySetRefused, also beyond 256 KiB."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise KeySetRefused(KeySetRefusal.TOO_LARGE, f"A key set has at most {DOCUMENT_BYTES_MAX // 1_024} KiB.")
    try:
        tree = object_of(document)
    except NotStrict:
        raise KeySetRefused(
            KeySetRefusal.MALFORMED, "A key set is one JSON object, without a doubled member."
        ) from None
    return read_key_set(tree)


def read_key_set(tree: Mapping[str, Any]) -> list[IssuerKey]:
    """Return the keys that tokens are verified with, by kid, each with its public members alone.

    Keys for encryption or for other algorithms are left out. Raises KeySetRefused for a private or symmetric key
    anywhere, for a key without `kid`, for two of one, without an algorithm (told by `alg`, or by the curve), for RSA
    below 2,048 bits, for more than 20 keys, and where none is left.
    """
    keys = tree.get("keys")
    if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
        raise KeySetRefused(KeySetRefusal.MALFORMED, "A key set has a list `keys` of objects.")
    if len(keys) > KEYS_MAX:
        raise KeySetRefused(KeySetRefusal.TOO_MANY_KEYS, f"A key set has at most {KEYS_MAX} keys.")
    for jwk in keys:
        if not _PRIVATE.isdisjoint(jwk) or jwk.get("kty") == "oct":
            raise KeySetRefused(KeySetRefusal.PRIVATE_KEY, "The set holds a private or symmetric key: it is known now.")
    found = [key for key in map(_key, keys) if key is not None]
    if not found:
        raise KeySetRefused(KeySetRefusal.NO_KEYS, f"The set has no key for {', '.join(sorted(ALGORITHMS))}.")
    if len({key.kid for key in found}) != len(found):
        raise KeySetRefused(KeySetRefusal.DOUBLED_KID, "Two keys of the set have one `kid`.")
    return sorted(found, key=lambda key: key.kid)


def public_key(alg: str, jwk: Mapping[str, Any]) -> Key:
    """Return the key whose public members are *jwk*, for verifying *alg*; raises KeySetRefused if it is none."""
    kind = _KINDS[alg]
    members: dict[str, Any] = {name: jwk.get(name) for name in _MEMBERS[kind]}
    numbers = {name: _number(name, value) for name, value in members.items() if name != "crv"}
    if kind == "RSA":
        _check_strength(numbers["n"], numbers["e"])
    try:
        key = import_key({"kty": kind, **members})
        key.get_op_key("verify")  # a point that is not on its curve shows only here
    except (TypeError, ValueError, JoseError):
        raise KeySetRefused(KeySetRefusal.INVALID_KEY, "A key's members are no key.") from None
    return key


def _number(name: str, value: Any) -> int:
    """Return the number that a member of a key writes as base64url, the one way; raises KeySetRefused."""
    try:
        return int.from_bytes(base64url_bytes(value.encode("ascii")))
    except (AttributeError, UnicodeEncodeError, NotStrict):
        raise KeySetRefused(KeySetRefusal.INVALID_KEY, f"A key of the set has no proper `{name}`.") from None


def _check_strength(modulus: int, exponent: int) -> None:
    """Raise KeySetRefused for an RSA key that is too weak, or too slow."""
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        detail = f"An RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits; one of the set has {modulus.bit_length()}."
        raise KeySetRefused(KeySetRefusal.WEAK_KEY, detail)
    if not EXPONENT_MIN <= exponent <= EXPONENT_MAX:
        raise KeySetRefused(KeySetRefusal.WEAK_KEY, f"An RSA key's exponent is at least {EXPONENT_MIN}.")


def _key(jwk: Mapping[str, Any]) -> IssuerKey | None:
    """Return the key that *jwk* is, None if tokens are not verified with it."""
    kty, crv = str(jwk.get("kty")), str(jwk.get("crv"))
    if kty not in _MEMBERS or jwk.get("use", "sig") != "sig":
        return None
    alg = str(jwk.get("alg", _BY_CURVE.get((kty, crv))))
    if kty == "RSA" and "alg" not in jwk:
        raise KeySetRefused(KeySetRefusal.NO_ALGORITHM, "An RSA key of the set does not tell its `alg`.")
    if alg not in ALGORITHMS:
        return None
    if _KINDS[alg] != kty or (kty != "RSA" and _BY_CURVE.get((kty, crv)) != alg):
        raise KeySetRefused(KeySetRefusal.INVALID_KEY, f"A key of the set cannot sign with its `alg` {alg}.")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARACTERS_MAX or not kid.isprintable():
        detail = f"A key of the set has no `kid` of 1 to {KID_CHARACTERS_MAX} characters."
        raise KeySetRefused(KeySetRefusal.NO_KID, detail)
    members = {name: jwk.get(name) for name in _MEMBERS[kty]}
    public_key(alg, members)
    return IssuerKey(kid=kid, alg=alg, jwk={"kty": kty, **members})
