"""DNS: asynchronous, so that a look-up that hangs holds nothing that another needs."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from typing import Final

import aiodns
import pycares

from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import UrlRefusal, UrlRefused

TRY_S: Final = 1.0
"""The first try; each further one waits twice as long."""
TRIES: Final = 3


class DnsResolver:
    """Asks the hosts file, then *servers* (`host:port`; the system's where none are given); needs a running loop.

    Names are taken as they are: no search domain is added. An answer is remembered for as long as it says.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        # Without `lookups`: pycares lets go of that text before c-ares reads it, and no name is found then.
        self._resolver = aiodns.DNSResolver(
            servers or None, timeout=TRY_S, tries=TRIES, flags=pycares.ARES_FLAG_NOSEARCH
        )

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of *host*, IPv4 first: many networks have no other."""
        try:
            found = await self._resolver.getaddrinfo(
                host, family=socket.AF_UNSPEC, port=port, proto=socket.IPPROTO_TCP, type=socket.SOCK_STREAM
            )
        except (aiodns.error.DNSError, UnicodeError) as error:
            raise UrlRefused(UrlRefusal.UNRESOLVABLE, "The host has no address.") from error
        addresses = [ip_address(node.addr[0].decode("ascii")) for node in found.nodes]
        return sorted(dict.fromkeys(addresses), key=lambda address: not isinstance(address, IPv4Address))

    async def aclose(self) -> None:
        """Let go of the sockets; look-ups under way end with a refusal."""
        await self._resolver.close()
