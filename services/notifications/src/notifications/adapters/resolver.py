"""DNS through the system's resolver: off the event loop, with a deadline."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, ip_address
from typing import Final

from notifications.domain.addresses import Address
from notifications.domain.targets import Refusal, UrlRefused

THREADS: Final = 32
"""A lookup that hangs keeps its thread until the system's resolver gives up."""
TIMEOUT_S: Final = 5.0


class SystemResolver:
    """Resolves in threads of its own."""

    def __init__(self, *, threads: int = THREADS, timeout_s: float = TIMEOUT_S) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="dns")
        self._timeout_s = timeout_s

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of *host*, IPv4 first: many networks have no other."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await loop.run_in_executor(self._executor, _look_up, host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise UrlRefused(Refusal.UNRESOLVABLE, "The host has no address.") from error
        return sorted(found, key=lambda address: not isinstance(address, IPv4Address))

    def close(self) -> None:
        """Let go of the threads; a lookup that hangs is left behind."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # The zone of a link-local address is cut off: it is refused anyway.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
