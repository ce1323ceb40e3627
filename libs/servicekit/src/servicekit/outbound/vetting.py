"""Whether a URL may be sent to, now: when it is given and again at every request."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import Target, UrlRefusal, UrlRefused, check_addresses, parse_target
from servicekit.outbound.tenant_limit import TenantLimit

LOOKUP_S: Final = 5.0
"""From a look-up's wait for its place to the answer."""
LOOKUPS_PER_TENANT: Final = 32
"""At once, of one process."""


class Resolver(Protocol):
    """DNS: the real one, or a test's names."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return every address of *host*; raises UrlRefused where it has none. The caller may give up at any time."""
        ...


class Vetting:
    """Reads a URL, resolves its host once and judges every address."""

    def __init__(self, resolver: Resolver, *, allow_loopback: bool, lookup_s: float = LOOKUP_S) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback
        self._lookup_s = lookup_s
        self._limit = TenantLimit(LOOKUPS_PER_TENANT)

    async def vet(self, url: str, tenant_id: UUID) -> tuple[Target, Sequence[Address]]:
        """Return where to connect to: the parts of *url* and its vetted addresses. Raises UrlRefused."""
        target = parse_target(url, allow_loopback=self._allow_loopback)
        addresses = [target.address] if target.address is not None else await self._look_up(target, tenant_id)
        check_addresses(target, addresses, allow_loopback=self._allow_loopback)
        return target, addresses

    async def _look_up(self, target: Target, tenant_id: UUID) -> Sequence[Address]:
        try:
            async with asyncio.timeout(self._lookup_s), self._limit.place(tenant_id):
                return await self._resolver.resolve(target.host, target.port)
        except TimeoutError:
            raise UrlRefused(UrlRefusal.UNRESOLVABLE, "The host's name server does not answer.") from None
