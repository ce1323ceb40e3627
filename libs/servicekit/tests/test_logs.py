"""Log lines are JSON objects that name their process and keep local variables to themselves."""

import json
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from servicekit.telemetry.logs import configure_logs, get_logger


@pytest.fixture
def configured(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Configure the logs, writing to what the test captures."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logs("probe", "api", "INFO")
    yield capsys
    root.handlers, root.level = handlers, level


def fail_with(private: str) -> float:
    return len(private) / 0


def test_a_traceback_holds_no_local_variables(configured: pytest.CaptureFixture[str]) -> None:
    try:
        fail_with("4111 1111 1111 1111")
    except ZeroDivisionError:
        get_logger().exception("probe.failed", shard=3)

    line = json.loads(configured.readouterr().out)
    assert (line["action"], line["service"], line["process"], line["level"]) == (
        "probe.failed",
        "probe",
        "api",
        "error",
    )
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert "4111" not in json.dumps(line)


def test_an_error_of_the_database_does_not_quote_its_row(configured: pytest.CaptureFixture[str]) -> None:
    refused = asyncpg.CheckViolationError("it violates a check")
    refused.detail = "Failing row contains (alice, 400)."

    get_logger().error("probe.failed", exc_info=ExceptionGroup("all", [refused]))

    said = configured.readouterr().out
    assert "it violates a check" in said
    assert "alice" not in said


def test_a_librarys_line_is_a_field_of_ours(configured: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("some.package").warning("it is %s", "late")

    line = json.loads(configured.readouterr().out)
    assert (line["action"], line["logger"], line["text"]) == ("library.message", "some.package", "it is late")


def test_a_line_below_the_level_is_not_written(configured: pytest.CaptureFixture[str]) -> None:
    get_logger().debug("probe.detail")

    assert configured.readouterr().out == ""


def test_an_http_clients_urls_are_not_written(configured: pytest.CaptureFixture[str]) -> None:
    for name in ("httpx2", "httpcore2.connection"):
        logging.getLogger(name).info("HTTP Request: POST https://hooks.example.com/secret-path")

    assert configured.readouterr().out == ""
