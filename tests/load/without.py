"""The wallet's API without one of its guards, to compare with: `python -m tests.load.without GUARD`.

*GUARD* is `authority` (whoever asks is admitted), `limits` (nothing is charged, nothing settled) or `row_security`
(reads are not lent for a tenant). Everything else is the product's own, joined by its `bootstrap`; the product itself
has no such switch.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from contracts.scopes import Kind
from servicekit.access import opening
from servicekit.access.admission import UNLIMITED, Allowance, Authority, Cost, RawHeaders
from servicekit.access.credentials import Credential
from servicekit.client_address import Client
from servicekit.lifecycle import run
from servicekit.postgres import Connection
from servicekit.tenant_pool import TenantPool
from testkit.access import AdmitsAs, principal_of
from wallet.bootstrap import api
from wallet.config import WalletSettings


class _NoLimits:
    """Stands where `CallerLimits` does."""

    def __init__(self, _limits: object) -> None: ...

    def may_authenticate(self, client: Client) -> None: ...

    def failed(self, client: Client) -> None: ...

    def admit(self, _credential: Credential, _client: Client, _cost: Cost) -> tuple[Allowance, RawHeaders]:
        return UNLIMITED, []

    def override(self, policies: Mapping[UUID, object]) -> None: ...


class _NoSettler:
    """Stands where `Settler` does."""

    def __init__(self, *_: object, **__: object) -> None: ...

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield


def _without_limits() -> None:
    patch.object(opening, "CallerLimits", _NoLimits).start()
    patch.object(opening, "Settler", _NoSettler).start()


def _without_row_security() -> None:
    def reading(pool: TenantPool, _tenant_id: UUID) -> AbstractAsyncContextManager[Connection]:
        return pool.reading_shared()

    async def opened(pool: Any) -> TenantPool:
        return TenantPool(pool)

    patch.object(TenantPool, "reading", reading).start()
    patch.object(api, "open_tenants", opened).start()


_WITHOUT: Final[Mapping[str, Callable[[], None]]] = {
    "authority": lambda: None,
    "limits": _without_limits,
    "row_security": _without_row_security,
}


def main() -> int:
    """Run the process; return its exit code."""
    guard = sys.argv[1]
    _WITHOUT[guard]()
    authority: Authority | None = AdmitsAs(principal_of("bench", kind=Kind.SERVICE)) if guard == "authority" else None
    settings = WalletSettings()
    return run(lambda shutdown: api.serve_api(settings, shutdown, authority=authority), drain_s=settings.drain_s)


if __name__ == "__main__":
    sys.exit(main())
