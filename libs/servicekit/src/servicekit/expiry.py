"""When certificates end, read from their files every minute: a file that was replaced is told at once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from servicekit.telemetry import get_logger

LOOK_S: Final = 60.0
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bundles of a system's authorities have some 200 KiB."""


class ExpiryKind(StrEnum):
    """What ends."""

    CERTIFICATE = "certificate"
    """One that this process shows."""
    AUTHORITY = "authority"
    """One that this process believes others by."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """A file of certificates (PEM): *name* is what it is for."""

    kind: ExpiryKind
    name: str
    file: Path


class Expiry(Collector):
    """When the first certificate of each file ends."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ends: dict[Expiring, float] = {}
        registry.register(self)

    def look(self, files: Iterable[Expiring]) -> None:
        """Read *files*; of one that cannot be read the last known end stays, and a line says why."""
        for each in files:
            try:
                self._ends[each] = first_end_s(each.file)
            except (OSError, ValueError) as error:
                get_logger().warning(
                    "expiry.not_read", kind=each.kind.value, name=each.name, error=type(error).__name__
                )

    def collect(self) -> Iterator[Metric]:
        """Yield the ends."""
        family = GaugeMetricFamily(
            "not_after_timestamp_seconds", "When the first certificate of a file ends.", labels=["kind", "name"]
        )
        for each, end_s in list(self._ends.items()):
            family.add_metric([each.kind.value, each.name], end_s)
        yield family

    @asynccontextmanager
    async def watching(self, files: Iterable[Expiring]) -> AsyncIterator[None]:
        """Look every minute while the body runs."""
        watched = tuple(files)
        if not watched:
            yield
            return
        task = asyncio.create_task(self._watch(watched), name="expiry")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, files: tuple[Expiring, ...]) -> None:
        while True:
            await asyncio.to_thread(self.look, files)
            await asyncio.sleep(LOOK_S)


def first_end_s(file: Path) -> float:
    """Return when the first certificate in *file* ends, in seconds since 1970; raises OSError and ValueError."""
    with file.open("rb") as opened:
        text = opened.read(FILE_BYTES_MAX)
    return min(each.not_valid_after_utc.timestamp() for each in x509.load_pem_x509_certificates(text))
