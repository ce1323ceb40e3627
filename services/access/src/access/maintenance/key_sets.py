"""Fetches issuers' key sets, and tells what has changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import structlog

from access.domain.issuers import GoodKeys, NoKeys, Polled, SameKeys, decide_polled
from access.domain.outcomes import Unknown
from access.identities.issuer_rows import (
    claim_due,
    find_issuer,
    find_polling,
    keep_polling,
    locked_issuer,
    replace_keys,
)
from access.identities.recording import Recorder
from access.maintenance.key_set_metrics import FETCHED, NOT_MODIFIED, KeySetMetrics
from servicekit.access.key_sets import KeySetRefused, parse_key_set
from servicekit.maintenance import Job, JobRun
from servicekit.outbound.fetching import Fetched, FetchFailed, NotModified
from servicekit.postgres import Pool

POLL_S: Final = 15.0
LOOK_S: Final = 1.0
"""How soon a new issuer, or one that is to be refreshed, is found."""
AT_ONCE: Final = 10

_log = structlog.get_logger(__name__)


class Fetches(Protocol):
    """What fetches a document."""

    async def fetch(self, url: str, tenant_id: UUID, *, etag: str | None) -> Fetched | NotModified | FetchFailed:
        """Fetch *url*; any failure is a value."""
        ...


@dataclass(frozen=True, slots=True)
class KeySetPolling:
    """Fetches the key sets that are due. No transaction is open meanwhile; what came is judged under a lock after."""

    pool: Pool
    recorder: Recorder
    fetcher: Fetches
    metrics: KeySetMetrics

    def job(self) -> Job:
        """Return the job: every worker does a share of it."""
        return Job(name="poll_key_sets", interval_s=LOOK_S, run=self._chunk, chunk_rows=AT_ONCE)

    async def _chunk(self, run: JobRun) -> int:
        async with run.transaction() as tx:
            due = await claim_due(tx, every_s=POLL_S, limit=AT_ONCE)
        await self.poll(due)
        return len(due)

    async def poll(self, due: Sequence[tuple[UUID, UUID]]) -> None:
        """Fetch the key sets of the issuers *due* (tenant, id), side by side."""
        await asyncio.gather(*(self._poll(tenant_id, issuer_id) for tenant_id, issuer_id in due))

    async def _poll(self, tenant_id: UUID, issuer_id: UUID) -> None:
        async with self.pool.connection() as connection:
            issuer = await find_issuer(connection, tenant_id, issuer_id)
            if isinstance(issuer, Unknown) or issuer.key_set_url is None:
                return
            polling = await find_polling(connection, issuer_id)
        url = issuer.key_set_url
        polled = _polled(await self.fetcher.fetch(url, tenant_id, etag=polling.etag))
        self.metrics.count(_outcome(polled))
        await self._settle(tenant_id, issuer_id, url, polled)

    async def _settle(self, tenant_id: UUID, issuer_id: UUID, url: str, polled: Polled) -> None:
        """Write what came of fetching *url*, unless the issuer has another by now."""
        async with self.pool.transaction() as tx:
            issuer = await locked_issuer(tx, tenant_id, issuer_id)
            if issuer is None or issuer.key_set_url != url:
                return
            polling, now = await find_polling(tx.connection, issuer_id), await self.recorder.now(tx)
            changed, kept = decide_polled(issuer, polling, polled, now=now)
            if kept.failure is not None and kept.failure != polling.failure:
                _log.warning("access.key_set_not_fetched", issuer_id=str(issuer_id), failure=kept.failure)
            await keep_polling(tx, issuer_id, kept)
            if changed != issuer:
                await replace_keys(tx, changed)
                await self.recorder.record(tx, changed, now=now)
                _log.info("access.key_set_changed", issuer_id=str(issuer_id), keys=len(changed.keys))


def _polled(fetched: Fetched | NotModified | FetchFailed) -> Polled:
    match fetched:
        case Fetched(body=body, etag=etag):
            try:
                return GoodKeys(tuple(parse_key_set(body)), etag)
            except KeySetRefused as refused:
                return NoKeys(refused.refusal.value)
        case NotModified():
            return SameKeys()
        case FetchFailed(fault=fault):
            return NoKeys(fault.value)


def _outcome(polled: Polled) -> str:
    """Return what metrics call it."""
    match polled:
        case GoodKeys():
            return FETCHED
        case SameKeys():
            return NOT_MODIFIED
        case NoKeys(code=code):
            return code
