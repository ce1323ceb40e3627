"""Stands for a process of a service: answers /health/ready on the port in a variable, and logs how it ended."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def drain(_signal: int, _frame: object) -> None:
    print(f"drained {time.monotonic_ns()}", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, drain)
    port = int(os.environ[sys.argv[1]])
    print(f"began {time.monotonic_ns()}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Health).serve_forever()
