"""An audit passes where everything was looked at, and not where something was skipped, passed over or never asked."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.supply.auditing import Clean, Unknown, Vulnerable, judge, pinned

LOCK = "# made\nidna==3.20 \\\n    --hash=sha256:00\npywin32==1 ; sys_platform == 'win32' \\\n    --hash=sha256:11\n"


def told(*packages: dict[str, Any]) -> str:
    """Return what pip-audit prints of *packages*."""
    return json.dumps({"dependencies": list(packages), "fixes": []})


IDNA = {"name": "idna", "version": "3.20", "vulns": []}
HURT = {**IDNA, "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.21"]}]}


@pytest.mark.parametrize(
    ("output", "judgement"),
    [
        (told(IDNA), Clean(1)),
        (told(HURT), Vulnerable(("idna 3.20: PYSEC-1, mended in 3.21",))),
        (told({"name": "idna", "skip_reason": "not found"}), Unknown("1 packages were skipped, first idna: not found")),
        (told(), Unknown("1 packages were passed over, first idna")),
        (told({**IDNA, "version": "3.19"}), Unknown("1 packages were passed over, first idna")),
        ("", Unknown("no way to it")),
        ("{}", Unknown("no way to it")),
    ],
)
def test_only_what_was_looked_at_whole_is_judged(output: str, judgement: object) -> None:
    assert judge(LOCK, output, "Traceback\nno way to it\n") == judgement


def test_a_lock_s_pins_are_those_for_this_python() -> None:
    assert pinned(LOCK) == {"idna": "3.20"}


class Advisories(BaseHTTPRequestHandler):
    """Answers as OSV does: an advisory for one package, nothing for the others."""

    def do_POST(self) -> None:
        """Answer a question."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        affected = {
            "package": {"name": name, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}],
        }
        answer = {"vulns": [{"id": "TEST-1", "summary": "x", "affected": [affected]}]} if name == "hurt" else {}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Keep silent."""


@pytest.fixture
def advisories() -> Iterator[str]:
    """Give the address of a service of advisories on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lock(folder: Path, *names: str) -> Path:
    """Return a lock of *names* at version 1.0."""
    file = folder / "some.lock"
    file.write_text("".join(f"{name}==1.0 \\\n    --hash=sha256:{'0' * 64}\n" for name in names))
    return file


def audit(locks: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Return how the command ended that asks the service at *url*."""
    argv = [sys.executable, "-m", "tests.supply", "audit", str(locks), "--service", "osv", "--osv-url", url]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)


def test_a_vulnerable_package_has_an_exit_code_of_its_own(advisories: str, tmp_path: Path) -> None:
    done = audit(lock(tmp_path, "sound", "hurt"), advisories)

    assert (done.returncode, done.stderr) == (3, "some.lock: hurt 1.0: TEST-1, mended in 9\n")


def test_without_a_service_the_command_says_so_and_fails(tmp_path: Path) -> None:
    done = audit(lock(tmp_path, "sound"), "http://127.0.0.1:1/")

    assert done.returncode == 1
    assert done.stderr.startswith("audit: some.lock could not be audited whole: ")
    assert len(done.stderr.splitlines()) == 1
