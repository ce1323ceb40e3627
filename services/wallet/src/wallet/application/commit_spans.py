"""What a traced command waited for: the transaction of its batch, as a span of its trace."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from servicekit.telemetry import SpanKind, Tracing
from servicekit.telemetry.attributes import DB_NAMESPACE, DB_OPERATION_BATCH_SIZE, DB_OPERATION_NAME, DB_SYSTEM_NAME
from wallet.application.units import Unit

SPANS_PER_BATCH_MAX: Final = 16
"""A batch of a thousand commands that are all traced must not cost more than its commit."""
_COMMIT: Final = "COMMIT"


class CommitSpans:
    """Shows batches that are committed to *database* in the traces of their commands."""

    def __init__(self, tracing: Tracing, database: str) -> None:
        self._tracing = tracing
        self._database = database

    def committed(self, units: Iterable[Unit], commands: int, seconds: float) -> None:
        """Record that *units*, of so many commands, were committed just now, *seconds* after their batch was begun."""
        traced = (unit.traceparent for unit in units if unit.traceparent is not None)
        for traceparent in islice(traced, SPANS_PER_BATCH_MAX):
            self._tracing.record(
                traceparent,
                f"{_COMMIT} {self._database}",
                SpanKind.CLIENT,
                {
                    DB_SYSTEM_NAME: "postgresql",
                    DB_NAMESPACE: self._database,
                    DB_OPERATION_NAME: _COMMIT,
                    DB_OPERATION_BATCH_SIZE: commands,
                },
                seconds=seconds,
            )
