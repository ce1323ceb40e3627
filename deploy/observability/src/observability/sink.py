"""Where alerts go on one machine: a line each in a file, so that one can see what would have woken somebody."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

from contracts.envelope import rfc3339
from servicekit.clock import utc_now

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A file beyond this is moved to `<name>.1`, replacing the one before: two of them are the bound."""
BODY_BYTES_MAX: Final = 1024 * 1024
REQUEST_WITHIN_S: Final = 5.0
HOST: Final = "127.0.0.1"
RECEIVERS: Final = ("page", "ticket")
"""The paths that Alertmanager's receivers post to are named after them."""


def url(port: int, receiver: str) -> str:
    """Return where *receiver* posts to, one of `RECEIVERS`."""
    return f"http://{HOST}:{port}/{receiver}"


class AlertFile:
    """A file that grows by a line for each alert that comes."""

    def __init__(self, path: Path, *, bytes_max: int = FILE_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max

    def keep(self, receiver: str, notification: Mapping[str, Any], *, received_at: str) -> None:
        """Append the alerts of Alertmanager's *notification*: firing ones and those that are over."""
        lines = "".join(json.dumps(line) + "\n" for line in _lines(receiver, notification, received_at))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(lines) > self._bytes_max:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("a") as file:
            file.write(lines)


def _lines(receiver: str, notification: Mapping[str, Any], received_at: str) -> Iterator[Mapping[str, Any]]:
    for alert in notification["alerts"]:
        yield {
            "received_at": received_at,
            "receiver": receiver,
            "status": alert["status"],
            "alert": alert["labels"].get("alertname"),
            "labels": alert["labels"],
            "annotations": alert["annotations"],
            "starts_at": alert["startsAt"],
            "ends_at": alert["endsAt"] if alert["status"] == "resolved" else None,
        }


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_WITHIN_S
    server: "_Server"

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK if self.path == "/" else HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        receiver = self.path.removeprefix("/")
        length = self.headers.get("content-length", "")
        if receiver not in RECEIVERS:
            self._answer(HTTPStatus.NOT_FOUND)
        elif not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._keep(receiver, self.rfile.read(int(length)))

    def _keep(self, receiver: str, body: bytes) -> None:
        try:
            self.server.file.keep(receiver, json.loads(body), received_at=rfc3339(utc_now()))
        except (ValueError, KeyError, TypeError, AttributeError):  # of whatever is no notification
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            self._answer(HTTPStatus.NO_CONTENT)

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the file tells."""


class _Server(HTTPServer):
    """Serves one request at a time."""

    def __init__(self, port: int, file: AlertFile) -> None:
        super().__init__((HOST, port), _Handler)
        self.file = file


def serve(port: int, file: Path) -> None:
    """Keep what comes to *port* of the loopback address until the process ends; raises OSError for a port in use."""
    with _Server(port, AlertFile(file)) as server:
        server.serve_forever()
