"""Fixtures of servicekit's own tests."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Write log lines without decorated tracebacks, which take seconds to draw."""
    processors: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ]
    structlog.configure(processors=processors)
    yield
    structlog.reset_defaults()
