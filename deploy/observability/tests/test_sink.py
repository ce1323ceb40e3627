"""Where alerts go on one machine."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observability import sink
from observability.sink import AlertFile

NOTIFICATION: dict[str, Any] = {
    "version": "4",
    "alerts": [
        {
            "status": status,
            "labels": {"alertname": "RelayHalted", "service": "wallet"},
            "annotations": {"summary": "It has halted."},
            "startsAt": "2026-11-29T12:00:00Z",
            "endsAt": ends_at,
        }
        for status, ends_at in (("firing", "0001-01-01T00:00:00Z"), ("resolved", "2026-11-29T12:01:00Z"))
    ],
}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sink._Server]:
    with sink._Server(0, AlertFile(tmp_path / "alerts.jsonl")) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def post(server: sink._Server, path: str, body: bytes, *, length: int | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.server_address[1]), timeout=5)
    try:
        connection.request("POST", path, body, {"content-length": str(len(body) if length is None else length)})
        return connection.getresponse().status
    finally:
        connection.close()


def test_each_alert_is_a_line_with_its_times(tmp_path: Path) -> None:
    file = tmp_path / "state" / "alerts.jsonl"

    AlertFile(file).keep("page", NOTIFICATION, received_at="2026-11-29T12:00:05Z")

    firing, resolved = lines(file)
    assert (firing["alert"], firing["status"], firing["receiver"]) == ("RelayHalted", "firing", "page")
    assert (firing["starts_at"], firing["ends_at"]) == ("2026-11-29T12:00:00Z", None)
    assert (resolved["status"], resolved["ends_at"]) == ("resolved", "2026-11-29T12:01:00Z")


def test_the_file_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    bounded = AlertFile(file, bytes_max=2_000)

    for _ in range(20):
        bounded.keep("ticket", NOTIFICATION, received_at="2026-11-29T12:00:05Z")

    assert {each.name for each in tmp_path.iterdir()} == {"alerts.jsonl", "alerts.jsonl.1"}
    assert all(each.stat().st_size <= 2_000 for each in tmp_path.iterdir())


def test_alertmanagers_notification_is_kept(server: sink._Server, tmp_path: Path) -> None:
    assert post(server, "/ticket", json.dumps(NOTIFICATION).encode()) == 204

    assert [each["receiver"] for each in lines(tmp_path / "alerts.jsonl")] == ["ticket", "ticket"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/nobody", b"{}", 404),
        ("/page", b"no json", 400),
        ("/page", b"[]", 400),
        ("/page", b'{"alerts": [{}]}', 400),
    ],
    ids=["another path", "no json", "a list", "no alert"],
)
def test_what_is_no_notification_is_refused(server: sink._Server, path: str, body: bytes, status: int) -> None:
    assert post(server, path, body) == status
    assert not server.file._path.exists()


def test_what_says_that_it_is_too_large_is_not_waited_for(server: sink._Server) -> None:
    assert post(server, "/page", b"{", length=sink.BODY_BYTES_MAX + 1) == 413
