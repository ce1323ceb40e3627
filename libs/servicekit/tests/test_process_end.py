"""A process serves, drains on the first signal, ends at once on the second, and names a taken port."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

PROGRAM = """
import asyncio, sys
from servicekit.http.app import create_app
from servicekit.http.route import Route
from servicekit.lifecycle import event_loop_delay, run
from servicekit.serving import serve_http
from servicekit.settings import ServiceSettings
from servicekit.telemetry import open_telemetry
from testkit.access import ANYBODY_MAY, AdmitsAs

settings = ServiceSettings(trace_sample_ratio=0)
async def slow() -> str:
    print("slow begun", flush=True)
    await asyncio.sleep(float(sys.argv[2]))
    return "done"

route = Route(method="GET", path="/slow", handler=slow, access=ANYBODY_MAY, operation_id="slow", summary="Be slow.")

async def main(shutdown):
    telemetry = open_telemetry(settings, service="probe", process="api", version="1")
    app = create_app(title="Probe", settings=settings, telemetry=telemetry, authority=AdmitsAs(), routes=[route])
    async with event_loop_delay(telemetry.registry):
        await serve_http(
            app, host="127.0.0.1", port=int(sys.argv[1]), shutdown=shutdown, drain_s=float(sys.argv[3]),
            port_setting="PROBE_PORT",
        )
    telemetry.close()
    print("ended", flush=True)

sys.exit(run(main, drain_s=float(sys.argv[3])))
"""


@contextmanager
def process(*, port: int = 0, slow_s: float = 0.3, drain_s: float = 20) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(port), str(slow_s), str(drain_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def port_of(child: subprocess.Popen[str]) -> int:
    return int(json.loads(line_with(child, "http.serving"))["port"])


def line_with(child: subprocess.Popen[str], text: str) -> str:
    assert child.stdout is not None
    return next(line for line in child.stdout if text in line)


@contextmanager
def request_under_way(port: int, child: subprocess.Popen[str]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: probe\r\n\r\n")
        line_with(child, "slow begun")
        yield connection


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_a_process_answers_and_ends_with_the_first_signal() -> None:
    with process() as child:
        answer = httpx2.get(f"http://127.0.0.1:{port_of(child)}/metrics")
        child.send_signal(signal.SIGTERM)

        assert child.wait(30) == 0
    assert "event_loop_delay_seconds_count" in answer.text
    assert "server" not in answer.headers


def test_a_request_under_way_is_finished() -> None:
    with process() as child:
        port = port_of(child)
        with request_under_way(port, child) as connection:
            child.send_signal(signal.SIGTERM)
            answer = received(connection)
        assert child.wait(30) == 0

    assert answer.endswith(b'"done"')


def test_a_drain_has_a_deadline() -> None:
    with process(slow_s=60, drain_s=1) as child:
        port = port_of(child)
        with request_under_way(port, child):
            child.send_signal(signal.SIGTERM)
            assert child.wait(30) in {0, 70}


def test_a_second_signal_ends_the_process_at_once() -> None:
    with process(slow_s=60, drain_s=60) as child:
        port = port_of(child)
        with request_under_way(port, child):
            child.send_signal(signal.SIGTERM)
            line_with(child, "process.shutdown_requested")
            child.send_signal(signal.SIGTERM)
            assert child.wait(30) == 128 + signal.SIGTERM


def test_a_thread_left_behind_does_not_hold_the_process_up() -> None:
    program = """
import asyncio, sys, time
from servicekit.lifecycle import run

async def main(shutdown):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    print("ended")
    shutdown.request(3)

sys.exit(run(main, drain_s=600))
"""

    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout) == (3, "ended\n")


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, process(port=taken.getsockname()[1]) as child:
        line = line_with(child, "process.cannot_start")
        assert child.wait(30) == 1

    assert re.search(r"127\.0\.0\.1:\d+ .* set PROBE_PORT", json.loads(line)["detail"])


@pytest.mark.parametrize("field", ["action", "level", "timestamp", "service", "process"])
def test_a_log_line_is_one_json_object(field: str) -> None:
    with process() as child:
        line = json.loads(line_with(child, "http.serving"))

    assert field in line
