"""Logs: one JSON object per line on standard output; a constant `action` and fields, never amounts or personal data.

Write `get_logger().info("relay.cursor_moved", shard=3, seq=17)`: the first argument is the stable action. What it means
stands in `observability.log_meanings`, which makes `docs/logs.md`; a level says who has to look.
"""

import logging
from typing import Any, Final, cast

import msgspec
import structlog
from opentelemetry import trace
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor

_LIBRARIES_MIN: Final = logging.WARNING
_DETAIL: Final = "\nDETAIL:"
"""Begins, in an error of the database, what quotes the row that it refused."""
_QUIET: Final = ("aiokafka", "asyncio", "uvicorn", "asyncpg", "httpx2", "httpcore2")
"""Chatty below a warning; the last two would write out whole URLs."""


def configure_logs(service: str, process: str, level: str) -> None:
    """Send structlog and the standard library's loggers to standard output as JSON lines, *level* and above."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace_ids,
        # Without the frames' local variables: they hold personal data.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _without_rows,
        structlog.processors.EventRenamer("action"),
    ]
    structlog.configure(
        processors=[*shared, _named(service, process), structlog.processors.JSONRenderer(serializer=_to_json)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _adopt_standard_loggers(level)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Return the process's logger; before `configure_logs` it prints for people, as tests see it."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


class _StandardHandler(logging.Handler):
    """Passes a library's record on as a line of ours: the message is a field, since it is not constant."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger().log(
            record.levelno, "library.message", logger=record.name, text=record.getMessage(), exc_info=record.exc_info
        )


def _adopt_standard_loggers(level: str) -> None:
    root = logging.getLogger()
    root.handlers = [_StandardHandler()]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(_LIBRARIES_MIN, logging.getLevelNamesMapping()[level]))


def _without_rows(_logger: object, _method: str, event: EventDict) -> EventDict:
    for each in event.get("exception", ()):
        _cut_rows(each)
    return event


def _cut_rows(rendered: dict[str, Any]) -> None:
    rendered["exc_value"] = rendered["exc_value"].partition(_DETAIL)[0]
    for group in rendered.get("exceptions", ()):
        for each in group:
            _cut_rows(each)


def _named(service: str, process: str) -> Processor:
    def add(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        event["process"] = process
        return event

    return add


def _trace_ids(_logger: object, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _to_json(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
