"""JSON Web Tokens of registered issuers: read strictly, verified, and what they say of their bearer. Pure.

A token is read twice: `read_unverified` tells whose it claims to be, so that its issuer can be looked up, and
`verify_token` believes nothing of it that the issuer's key has not signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from contracts.access import IssuerChanged
from servicekit.access.claims import ClaimsRefused, map_claims
from servicekit.access.key_sets import ALGORITHMS, KID_CHARACTERS_MAX, KeySetRefused, public_key
from servicekit.access.strict_json import NotStrict, base64url_bytes, object_of

TOKEN_BYTES_MAX: Final = 8 * 1_024
ISSUER_CHARACTERS_MAX: Final = 2_000
LEEWAY: Final = timedelta(seconds=30)
"""By how much the clocks of an issuer and of this platform may differ."""
AUDIENCES_MAX: Final = 20
INSTANT_S_MAX: Final = 250_000_000_000
"""Seconds since 1970, in the year 9892: what comes of later ones would be no instant."""

_PARTS: Final = 3
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_REFUSED_HEADERS: Final = frozenset({"crit", "jku", "x5u", "jwk", "x5c", "zip", "b64"})
"""Members that bring a key along, point to one, or change what is signed."""
_BY_NAME: Final = {name: JWSRegistry.algorithms[name] for name in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Unverified:
    """Whose a token claims to be. Nothing of it is proved."""

    issuer: str
    kid: str
    alg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrincipal:
    """Whom a verified token is about.

    *subject* is `<issuer's name>|<sub>`, *scopes* the bits of scopes that *kind* may hold. *acts_for*: the owners of
    wallets it acts for, None for every owner of the tenant. It is good until *ends_at*, the leeway included;
    *issued_at* is when it says it was issued: a sign-out voids those from before.
    """

    tenant_id: UUID
    subject: str
    kind: str
    scopes: int
    acts_for: frozenset[str] | None
    issuer_id: UUID
    kid: str
    issued_at: datetime
    ends_at: datetime


class Refusal(StrEnum):
    """How a refused token is answered: the codes of problems."""

    UNAUTHENTICATED = "unauthenticated"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  a code


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The token proves nothing; *detail* is a sentence for the developer who sent it."""

    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True)
class _Read:
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def read_unverified(token: str) -> Unverified | None:
    """Return whose *token* claims to be; returns None unless it is a JWT in every formal respect.

    That is: at most 8 KiB in three parts of strict base64url, header and claims each one JSON object without a doubled
    member, `typ` absent or that of a JWT or an access token, a `kid`, an `alg` that this platform verifies, and no
    header that brings a key along or changes what is signed.
    """
    read = _read(token)
    if read is None:
        return None
    issuer, kid, alg = read.claims.get("iss"), read.header["kid"], read.header["alg"]
    if not isinstance(issuer, str) or not 0 < len(issuer) <= ISSUER_CHARACTERS_MAX:
        return None
    return Unverified(issuer, kid, alg)


def verify_token(token: str, issuer: IssuerChanged, *, tenant_id: UUID, now: datetime) -> TokenPrincipal | TokenRefused:
    """Return whom *token* is about, as *issuer*, an active one of *tenant_id*, vouches for it at *now*.

    TokenRefused for a key that the issuer does not have now, another algorithm than the key's, a wrong signature,
    another issuer or audience, a claim that is missing or of the wrong type, `nbf` or `iat` ahead of *now*, a lifetime
    beyond the issuer's, and with the reason TOKEN_EXPIRED after `exp`; clocks may differ by the leeway.
    """
    read = _read(token)
    if read is None:
        return TokenRefused(Refusal.UNAUTHENTICATED, "The token is not a JWT that is taken here.")
    try:
        kid = _proved(read, issuer)
        issued_at, ends_at = _times(read.claims, issuer, now)
        mapped = map_claims(read.claims, issuer, tenant_id)
    except _Expired:
        return TokenRefused(Refusal.TOKEN_EXPIRED, "The token has expired.")
    except (ClaimsRefused, KeySetRefused) as refused:
        return TokenRefused(Refusal.UNAUTHENTICATED, str(refused))
    return TokenPrincipal(
        tenant_id=mapped.tenant_id,
        subject=mapped.subject,
        kind=mapped.kind,
        scopes=mapped.scopes,
        acts_for=mapped.acts_for,
        issuer_id=UUID(issuer.issuer_id),
        kid=kid,
        issued_at=issued_at,
        ends_at=ends_at,
    )


class _Expired(Exception):
    """The token was good once."""


def _read(token: str) -> _Read | None:
    """Return the parts of *token*; returns None where it is none in a formal respect. Nothing of it is proved."""
    if len(token) > TOKEN_BYTES_MAX or not token.isascii():
        return None
    raw = token.encode("ascii")
    parts = raw.split(b".", _PARTS)
    if len(parts) != _PARTS:
        return None
    try:
        header_bytes, claim_bytes, signature = map(base64url_bytes, parts)
        header, claims = object_of(header_bytes), object_of(claim_bytes)
    except NotStrict:
        return None
    if not _is_accepted(header):
        return None
    return _Read(header, claims, raw[: -len(parts[2]) - 1], signature)


def _is_accepted(header: Mapping[str, Any]) -> bool:
    kind, kid, alg = header.get("typ", "JWT"), header.get("kid"), header.get("alg")
    return (
        isinstance(kind, str)
        and kind.lower() in _TYPES
        and isinstance(alg, str)
        and alg in ALGORITHMS
        and isinstance(kid, str)
        and 0 < len(kid) <= KID_CHARACTERS_MAX
        and _REFUSED_HEADERS.isdisjoint(header)
    )


def _proved(read: _Read, issuer: IssuerChanged) -> str:
    """Return the `kid` of the key that signed the token; raises ClaimsRefused unless it is *issuer*'s, for us."""
    key = next((each for each in issuer.keys if each.kid == read.header["kid"]), None)
    if key is None or key.alg != read.header["alg"]:
        raise ClaimsRefused("The issuer has no such key for that algorithm.")
    loaded = _loaded(key.alg, msgspec.json.encode(key.jwk))
    if not _BY_NAME[key.alg].verify(read.signed, read.signature, loaded):
        raise ClaimsRefused("The token's signature is wrong.")
    if read.claims.get("iss") != issuer.issuer:
        raise ClaimsRefused("The token is of another issuer.")
    if issuer.audience not in _audiences(read.claims.get("aud")):
        raise ClaimsRefused("The token is for another audience.")
    return key.kid


@lru_cache(maxsize=1_024)
def _loaded(alg: str, jwk: bytes) -> Key:
    """Return a key ready for use: making one of its numbers costs as much as a verification."""
    return public_key(alg, msgspec.json.decode(jwk))


def _audiences(claim: Any) -> list[str]:
    """Return the texts of an `aud` claim, none of a claim of another form."""
    listed = [claim] if isinstance(claim, str) else claim
    if not isinstance(listed, list) or len(listed) > AUDIENCES_MAX:
        return []
    return listed if all(isinstance(each, str) for each in listed) else []


def _times(claims: Mapping[str, Any], issuer: IssuerChanged, now: datetime) -> tuple[datetime, datetime]:
    """Return when the token was issued and when it ends, the leeway included; raises ClaimsRefused, and _Expired."""
    issued_s, expires_s = _seconds(claims, "iat"), _seconds(claims, "exp")
    if not 0 < expires_s - issued_s <= issuer.max_lifetime_s:
        raise ClaimsRefused(f"The token's lifetime is not within the {issuer.max_lifetime_s} s of its issuer.")
    issued_at, ends_at = _instant(issued_s), _instant(expires_s) + LEEWAY
    if issued_at > now + LEEWAY:
        raise ClaimsRefused("The token is issued in the future.")
    if "nbf" in claims and _instant(_seconds(claims, "nbf")) > now + LEEWAY:
        raise ClaimsRefused("The token is not valid yet.")
    if now >= ends_at:
        raise _Expired
    return issued_at, ends_at


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate (RFC 7519); raises ClaimsRefused for what is no finite number of a known year."""
    claim = claims.get(name)
    # A comparison with NaN is false, and the bounds leave out infinity.
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < INSTANT_S_MAX:
        raise ClaimsRefused(f"The claim {name} is not a number of seconds since 1970.")
    return claim


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
