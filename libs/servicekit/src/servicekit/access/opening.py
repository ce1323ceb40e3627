"""The authority of an API process, opened on its database and watching for changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.access.admission import Authority
from servicekit.access.authority import CredentialAuthority
from servicekit.access.directory import Directory
from servicekit.access.limiting import CallerLimits
from servicekit.access.metrics import AccessMetrics
from servicekit.access.projection import access_projection_name
from servicekit.failures import OperationalError
from servicekit.limits import Limits, Settler
from servicekit.postgres import PoolSettings, open_pool
from servicekit.settings import Mode

_CONNECTIONS: Final = 4
_ACQUIRE_TIMEOUT_S: Final = 3.0
"""A process that has just started verifies every credential anew, one after another."""


class DevelopmentIssuerError(Exception):
    """An issuer that is for development would be believed outside of it. The message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowing:
    """Where a service knows identities from: its *dsn*, *service* (its slug), and after how long staff has to wait.

    *is_source*: the service is the one that identities come from, and knows them at once. Outside development, by
    *mode*, no issuer that is for development is believed.
    """

    dsn: str
    service: str
    stale_s: float
    mode: Mode
    is_source: bool = False


@asynccontextmanager
async def open_authority(
    knowing: Knowing, registry: CollectorRegistry, given: Authority | None = None
) -> AsyncIterator[Authority]:
    """Give the API's own authority, or the *given* one; its watch ends with the body.

    Outside development raises DevelopmentIssuerError where an issuer is known whose private key everybody has.
    """
    if given is not None:
        yield given
        return
    pools = PoolSettings(
        dsn=knowing.dsn,
        application_name=f"{knowing.service}-api-access",
        max_size=_CONNECTIONS,
        acquire_timeout_s=_ACQUIRE_TIMEOUT_S,
    )
    async with await open_pool(pools) as pool:
        is_development = knowing.mode is Mode.DEVELOPMENT
        directory = Directory(
            pool,
            access_projection_name(knowing.service),
            is_source=knowing.is_source,
            believes_development=is_development,
        )
        if not is_development:
            await _refuse_development_issuer(directory)
        limits = Limits()
        settler = Settler(
            limits, dsn=knowing.dsn, application=f"{knowing.service}-api", instance=new_id(), registry=registry
        )
        authority = CredentialAuthority(
            directory, metrics=AccessMetrics(registry), limits=CallerLimits(limits), stale_s=knowing.stale_s
        )
        with suppress(OperationalError):
            await authority.look()
        async with settler.running(), _watched(authority):
            yield authority


async def _refuse_development_issuer(directory: Directory) -> None:
    """Raise DevelopmentIssuerError where *directory* knows an active one; Unavailable where it cannot be asked."""
    known = await directory.development_issuer()
    if known is not None:
        raise DevelopmentIssuerError(
            f"the issuer {known.name} of {known.issuer} is for development, and everybody has its key: delete it"
        )


@asynccontextmanager
async def _watched(authority: CredentialAuthority) -> AsyncIterator[None]:
    watching = asyncio.create_task(authority.watch(), name="access-watch")
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
