"""The rules in force in this process: read again when the file changes, kept where the new file is not valid."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from fraud.application.metrics import FraudMetrics
from fraud.domain.rules import RuleSet, RulesRefused
from fraud.rules import rules_postgres
from fraud.rules.file import BYTES_MAX, decoded, parse_rules
from servicekit.failures import OperationalError
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool, Transaction

LOOK_EVERY_S: Final = 2.0

_log = structlog.get_logger(__name__)


class RuleStore:
    """Holds the rules in force: `start` loads them from file or database, `run` reloads the file when it changes."""

    def __init__(
        self, path: Path, *, time_compression: int, is_shadow: bool, pool: Pool, metrics: FraudMetrics | None
    ) -> None:
        self._path = path
        self._time_compression = time_compression
        self._is_shadow = is_shadow
        self._pool = pool
        self._metrics = metrics
        self._current: RuleSet | None = None
        self._seen: tuple[int, ...] | None = None
        self._reload_requested = asyncio.Event()

    @property
    def current(self) -> RuleSet:
        """The rules in force."""
        assert self._current is not None, "start comes first"
        return self._current

    async def rules(self, _tx: Transaction) -> RuleSet:
        """Return the rules in force."""
        return self.current

    def request_reload(self) -> None:
        """Have `run` read the file again at once, whether it changed or not."""
        self._reload_requested.set()

    async def start(self) -> None:
        """Load the file; where it is refused, the rules that were in force last. Raises RulesRefused without any."""
        try:
            await self.reload()
        except RulesRefused as refused:
            async with self._pool.connection() as connection:
                stored = await rules_postgres.in_force(connection)
            if stored is None:
                raise
            await self._put_in_force(self._parsed(stored.text, source=stored.version))
            await self._record_refusal(refused)

    async def run(self, shutdown: Shutdown) -> None:
        """Reload the file when it changes or when asked to, until *shutdown*; what is refused changes nothing."""
        while not await self._wait(shutdown):
            signature = self._signature()
            if signature == self._seen and not self._reload_requested.is_set():
                continue
            self._reload_requested.clear()
            try:
                await self.reload()
            except RulesRefused as refused:
                await self._record_refusal(refused)

    async def reload(self) -> None:
        """Read the file and put its rules in force; raises RulesRefused."""
        signature = self._signature()
        try:
            with self._path.open("rb") as file:
                raw = file.read(BYTES_MAX + 1)
        except OSError as error:
            self._seen = signature
            raise RulesRefused(f"{self._path}:0: {error.strerror}") from None
        self._seen = signature
        rules = self._parsed(decoded(raw, source=self._path.name), source=self._path.name)
        await self._put_in_force(rules)

    def _parsed(self, text: str, *, source: str) -> RuleSet:
        return parse_rules(text, source=source, time_compression=self._time_compression, is_shadow=self._is_shadow)

    async def _put_in_force(self, rules: RuleSet) -> None:
        """Keep *rules* in the database before the first decision names them."""
        try:
            async with self._pool.transaction() as tx:
                await rules_postgres.put_in_force(tx, rules)
        except OperationalError:
            self._seen = None  # look again
            if self._current is None:
                raise
            _log.warning("rules.not_stored", version=rules.version)
            return
        self._current = rules
        if self._metrics is not None:
            self._metrics.rules_in_force(rules)
        _log.info("rules.in_force", version=rules.version, rules=len(rules.rules))

    async def _record_refusal(self, refused: RulesRefused) -> None:
        if self._metrics is not None:
            self._metrics.rules_refused()
        _log.error("rules.refused", errors=str(refused).splitlines(), version_in_force=self.current.version)
        try:
            async with self._pool.connection() as connection:
                await rules_postgres.record_refusal(connection, str(refused))
        except OperationalError as error:
            self._seen = None  # look again
            _log.warning("rules.refusal_not_stored", error=error.detail)

    async def _wait(self, shutdown: Shutdown) -> bool:
        """Wait until it is time to look, or until asked; return whether the end is requested."""
        waits = {asyncio.ensure_future(self._reload_requested.wait()), asyncio.ensure_future(shutdown.wait())}
        try:
            await asyncio.wait(waits, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return shutdown.is_requested

    def _signature(self) -> tuple[int, ...]:
        """Return a value that changes with the file; returns an empty tuple if there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_size, status.st_ino)
