"""Prometheus metrics of statements."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter

from servicekit.telemetry.metrics import begin_at_zero
from transaction_history.domain.closing import FileFormat

OUTCOMES: Final = ("succeeded", "differs", "failed", "given_back", "lost", "not_recorded")


class StatementMetrics:
    """What is closed, and which files are made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._closed = Counter("history_statements_total", "Statements that were closed here.", registry=registry)
        self._late = Counter(
            "history_late_entries_total",
            "Entries that came after the period was closed in which they occurred; they stand in the next statement.",
            registry=registry,
        )
        self._files = Counter(
            "history_statement_files_total",
            "Attempts to make a file of a statement that ended here, by outcome.",
            ("format", "outcome"),
            registry=registry,
        )
        begin_at_zero(self._files, FileFormat, OUTCOMES)
        self._differences = Counter(
            "history_statement_differences_total",
            "Files of statements that came out otherwise than when they were made first; they are not served.",
            registry=registry,
        )
        self._unknown = Counter(
            "history_statement_unknown_characters_total",
            "Characters of statements that no font has.",
            registry=registry,
        )

    def closed(self, statements: int, late: int) -> None:
        """Count statements, and the entries among theirs that came late."""
        self._closed.inc(statements)
        self._late.inc(late)

    def file(self, kind: str, outcome: str) -> None:
        """Count an attempt to make a file."""
        self._files.labels(kind, outcome).inc()

    def unknown_characters(self, count: int) -> None:
        """Count characters of a file that was made."""
        self._unknown.inc(count)

    def difference(self) -> None:
        """Count a file that differs."""
        self._differences.inc()
