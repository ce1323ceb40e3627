"""Where exchange rates come from, joined from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from servicekit.outbound.fetching import Fetcher
from servicekit.outbound.resolver import DnsResolver
from servicekit.outbound.vetting import Vetting
from servicekit.settings import Mode
from servicekit.telemetry import Telemetry
from wallet.application.metrics import RateMetrics
from wallet.config import WalletSettings
from wallet.rates.documents import DOCUMENT_BYTES_MAX, PARSERS
from wallet.rates.refreshing import RateRefresh
from wallet.rates.sources import FileSource, HttpSource, RateSource

FETCH_S: Final = 5.0
"""How long a document may take from DNS to its last byte."""
_FILE: Final = "file:"


@asynccontextmanager
async def open_refresh(settings: WalletSettings, telemetry: Telemetry) -> AsyncIterator[RateRefresh | None]:
    """Give what keeps the rates, None where there are to be none."""
    url = settings.wallet_rates_url
    if url is None:
        yield None
        return
    if url.startswith(_FILE):
        path = unquote(url.removeprefix(_FILE).removeprefix("//"))
        yield _refresh(settings, telemetry, FileSource(Path(path)))
        return
    resolver = DnsResolver()
    try:
        vetting = Vetting(resolver, allow_loopback=settings.mode is Mode.DEVELOPMENT)
        fetcher = Fetcher(
            vetting,
            bytes_max=DOCUMENT_BYTES_MAX,
            timeout_s=FETCH_S,
            agent="wallet-platform/1",
            accept="application/json, application/xml;q=0.9, text/xml;q=0.9",
        )
        yield _refresh(settings, telemetry, HttpSource(fetcher, url))
    finally:
        await resolver.aclose()


def _refresh(settings: WalletSettings, telemetry: Telemetry, source: RateSource) -> RateRefresh:
    return RateRefresh(
        source=source,
        parse=PARSERS[settings.wallet_rates_format],
        jump_ppm=settings.wallet_rates_jump_ppm,
        metrics=RateMetrics(telemetry.registry),
    )
