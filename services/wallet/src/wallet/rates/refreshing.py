"""Fetches the rates and keeps those that are believed. What is not is logged and counted: quotes go on without it."""

from dataclasses import dataclass
from typing import Final

import structlog

from servicekit.maintenance import JobRun
from wallet.application.metrics import RateMetrics
from wallet.rates.documents import Parse, RatesRefused
from wallet.rates.judging import judge
from wallet.rates.rates_postgres import clock, keep_rates, known_rates
from wallet.rates.sources import NotFetched, RateSource

FETCHED: Final = "fetched"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRefresh:
    """Keeps the rates of *source*, read by *parse*, that moved by at most *jump_ppm*."""

    source: RateSource
    parse: Parse
    jump_ppm: int
    metrics: RateMetrics

    async def refresh(self, run: JobRun) -> int:
        """Fetch once; return how many rates were taken. No transaction is open while it waits for the source."""
        try:
            return await self._refresh(run)
        except NotFetched as error:
            self._alarm(error.why)
        except RatesRefused as error:
            self._alarm(error.refusal.value)
        return 0

    async def _refresh(self, run: JobRun) -> int:
        document = self.parse(await self.source.fetch())
        async with run.transaction() as tx:
            known = await known_rates(tx, document.source, document.base)
            judged = judge(document, known, now=await clock(tx), jump_ppm=self.jump_ppm)
            await keep_rates(tx, document, judged.taken)
        self.metrics.fetched(FETCHED)
        self.metrics.as_of(document.as_of)
        if judged.jumped:
            self.metrics.jumped(len(judged.jumped))
            _log.error("rates.jumped", source=document.source, base=document.base, currencies=judged.jumped)
        return len(judged.taken)

    def _alarm(self, why: str) -> None:
        self.metrics.fetched(why)
        _log.error("rates.not_fetched", why=why)
