"""Admission by the service's own tables, as long as these are known to be whole."""

from collections.abc import Mapping

from access.continuity.continuity import Continuity
from servicekit.access.admission import Access, Admission, Authority
from servicekit.client_address import Client
from servicekit.health import Check


class WholeAuthority:
    """Admits as *inner* does while *continuity* holds, and nobody otherwise: a revoked key may be good there."""

    def __init__(self, inner: Authority, continuity: Continuity) -> None:
        self._inner = inner
        self._continuity = continuity

    async def admit(self, headers: Mapping[bytes, bytes], client: Client, access: Access, /) -> Admission:
        """Return who asks; see `Authority`. Raises Halted besides, whatever *inner* has found."""
        times = self._continuity.times
        try:
            return await self._inner.admit(headers, client, access)
        finally:
            # Afterwards: what was read meanwhile is of the database that is asked here, or of a whole one before it.
            await self._continuity.required(times)

    def check(self) -> Mapping[str, Check]:
        """Return what *inner* does, and whether the database is known to be whole."""
        return {**self._inner.check(), "relay": self._continuity.check()}
