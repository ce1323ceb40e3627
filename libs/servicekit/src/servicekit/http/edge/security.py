"""What every answer tells a browser or a cache, whatever its route: constants, chosen by how the request came."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from servicekit.access.admission import RawHeaders

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
"""A body is what its type says, never what a browser makes of its bytes."""
NO_STORE: Final = (b"cache-control", b"no-store")
"""What one caller was answered is kept by no cache: it holds balances, or a key that is shown once."""
STAY_ON_TLS: Final = (b"strict-transport-security", b"max-age=31536000")
"""For a year; told over TLS alone, for elsewhere it has no meaning (RFC 6797)."""

_BY_SCHEME: Final[Mapping[str, RawHeaders]] = {"https": [NOSNIFF, NO_STORE, STAY_ON_TLS]}
_PLAIN: Final[RawHeaders] = [NOSNIFF, NO_STORE]


def security_headers(scope: Scope) -> RawHeaders:
    """Return the headers that the answer to the request of *scope* carries."""
    return headers_for(scope.get("scheme"))


def headers_for(scheme: str | None) -> RawHeaders:
    """Return the headers of an answer over *scheme*, `http` or `https`."""
    return _BY_SCHEME.get(scheme or "http", _PLAIN)
