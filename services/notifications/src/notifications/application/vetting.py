"""Whether a URL may be sent to, now: at creation and again at every attempt."""

from collections.abc import Sequence

from notifications.application.ports import Resolver
from notifications.domain.addresses import Address
from notifications.domain.targets import Target, check_addresses, parse_target


class Vetting:
    """Reads a URL, resolves its host once and judges every address."""

    def __init__(self, resolver: Resolver, *, allow_loopback: bool) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback

    async def vet(self, url: str) -> tuple[Target, Sequence[Address]]:
        """Return where to connect to: the parts of *url* and its vetted addresses. Raises UrlRefused."""
        target = parse_target(url, allow_loopback=self._allow_loopback)
        if target.address is not None:
            addresses: Sequence[Address] = [target.address]
        else:
            addresses = await self._resolver.resolve(target.host, target.port)
        check_addresses(target, addresses, allow_loopback=self._allow_loopback)
        return target, addresses
