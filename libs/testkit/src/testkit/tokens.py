"""Issuers of tokens under test: real keys, and tokens in whatever form a test wants them."""

import base64
import hmac
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Json = dict[str, Any]
ISSUER: Final = "https://login.example.com/"
AUDIENCE: Final = "wallet-platform"


def base64url(raw: bytes) -> str:
    """Return *raw* as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


@cache
def _made(alg: str, kid: str) -> ECKey | OKPKey | RSAKey:
    parameters: Any = {"kid": kid, "alg": alg}
    match alg:
        case "ES256":
            return ECKey.generate_key("P-256", parameters=parameters)
        case "EdDSA":
            return OKPKey.generate_key("Ed25519", parameters=parameters)
        case _:
            return RSAKey.generate_key(2_048, parameters=parameters)


class Signer:
    """A key of an issuer. The same *alg* and *kid* give the same key: making one of RSA takes long."""

    def __init__(self, alg: str = "ES256", kid: str = "key-1") -> None:
        self.alg = alg
        self.kid = kid
        self.key = _made(alg, kid)

    @property
    def jwk(self) -> Json:
        """The public key as a key set has it."""
        return {**self.key.as_dict(private=False), "use": "sig"}

    @property
    def private_jwk(self) -> Json:
        """The key as no key set may have it."""
        return {**self.key.as_dict(private=True), "use": "sig"}

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a token; a member of *header* replaces that of the usual one, None leaves it out."""
        return self.raw(msgspec.json.encode(claims), **header)

    def raw(self, claims: bytes, **header: Any) -> str:
        """Return a token whose claims are the bytes given."""
        members = {"alg": self.alg, "typ": "JWT", "kid": self.kid} | header
        head = msgspec.json.encode({name: value for name, value in members.items() if value is not None})
        return self.signed(head, claims)

    def signed(self, head: bytes, claims: bytes) -> str:
        """Return a token of the bytes given, signed with the key's own algorithm whatever the header says."""
        signed = f"{base64url(head)}.{base64url(claims)}"
        return f"{signed}.{base64url(JWSRegistry.algorithms[self.alg].sign(signed.encode(), self.key))}"


def hmac_token(secret: bytes, claims: Mapping[str, Any], *, kid: str) -> str:
    """Return a token signed with HS256 by *secret*: with a public key as the secret it is a known attack."""
    head = msgspec.json.encode({"alg": "HS256", "typ": "JWT", "kid": kid})
    signed = f"{base64url(head)}.{base64url(msgspec.json.encode(claims))}"
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def claims_at(now_s: int, **changes: Any) -> Json:
    """Return the claims of a token issued at *now_s* for five minutes; None leaves one out."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now_s, "exp": now_s + 300}
    return {name: value for name, value in (usual | changes).items() if value is not None}
