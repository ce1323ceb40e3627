"""Admission at the edge: whose address a request comes from, and the authority's answer to it."""

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import Scope

from servicekit.access.admission import Access, Admission, Authority
from servicekit.client_address import Client, Clients

_FORWARDED: Final = b"x-forwarded-for"


class Admitting:
    """Asks *authority*, naming the client that *clients* tells of a request."""

    def __init__(self, authority: Authority, clients: Clients) -> None:
        self._authority = authority
        self._clients = clients

    def admit(self, scope: Scope, headers: Mapping[bytes, bytes], access: Access) -> Awaitable[Admission]:
        """Return who sent the request of *scope*; raises as `Authority.admit` does."""
        return self._authority.admit(headers, self.client(scope, headers), access)

    def client(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Client:
        """Return whose address the request comes from: the peer's, or the last hop that is no proxy of ours."""
        peer = scope.get("client")
        address = None if peer is None else peer[0]
        if _FORWARDED not in headers:
            return self._clients.client(address)
        if len(headers) == len(scope["headers"]):
            return self._clients.client(address, (headers[_FORWARDED],))
        return self._clients.client(address, tuple(value for name, value in scope["headers"] if name == _FORWARDED))
