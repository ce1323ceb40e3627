"""Has documents set by a child process: it can be ended at a deadline, and gives its memory back."""

import atexit
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final, cast

from transaction_history.rendering.fonts import font_folders

TEMPLATE: Final = Path(__file__).with_name("statement.typ")
_TYPESETTER: Final = Path(__file__).with_name("typesetter.py")
DEADLINE_S: Final = 60.0
"""For one volume, and for waiting until it is its turn: some fifty times what 5,000 lines take."""
_LINES_MAX: Final = 5_000
"""That one child sets: typst keeps what it has laid out, about 60 kB a line, for ten documents more."""
_LINES_PER_DOCUMENT: Final = 10
"""What a document without lines counts as."""
_END_S: Final = 5.0


class SettingFailed(RuntimeError):
    """A document could not be set: typst refused it, its process ended, or the deadline passed."""


class Typesetter:
    """Sets documents one after the other in a child process, which is started when the first one comes."""

    def __init__(self, *, template: Path = TEMPLATE, deadline_s: float = DEADLINE_S) -> None:
        self._template = template
        self._deadline_s = deadline_s
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._lines_set = 0

    def pdf(self, document: bytes, *, timestamp: int, lines: int) -> bytes:
        """Return *document*, which is JSON with so many *lines*, as a PDF that says it was made at *timestamp*.

        Blocks. Raises SettingFailed.
        """
        if not self._turn.acquire(timeout=self._deadline_s):
            raise SettingFailed("others had no end in time")
        try:
            return self._set(document, timestamp, lines)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the child; the next document starts another."""
        with self._turn:
            self._end()

    def _set(self, document: bytes, timestamp: int, lines: int) -> bytes:
        if self._child is not None and self._child.poll() is not None:
            self._end()
        child = self._child or self._start()
        overdue = threading.Timer(self._deadline_s, child.kill)
        overdue.start()
        try:
            pdf = _exchanged(child, document, timestamp)
        except (OSError, ValueError):
            self._end()
            raise SettingFailed("the typesetter's process ended") from None
        finally:
            overdue.cancel()
        self._lines_set += _LINES_PER_DOCUMENT + lines
        if self._lines_set >= _LINES_MAX:
            self._end()
        if pdf is None:
            raise SettingFailed("typst refused the document")
        return pdf

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a child, without this process's environment and apart from its signals."""
        command = [sys.executable, "-I", str(_TYPESETTER), str(self._template), *font_folders()]
        self._child = subprocess.Popen(  # noqa: S603 - this interpreter and files of this package
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        self._lines_set = 0
        atexit.register(self.close)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        atexit.unregister(self.close)
        child.kill()
        child.communicate(timeout=_END_S)


def _exchanged(child: subprocess.Popen[bytes], document: bytes, timestamp: int) -> bytes | None:
    """Return the answer of *child*, None where it refuses. Raises OSError or ValueError where it ended."""
    requests, answers = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    head = json.dumps({"bytes": len(document), "timestamp": timestamp})
    requests.write(head.encode() + b"\n" + document)
    requests.flush()
    size: int = json.loads(answers.readline())["bytes"]
    if size < 0:
        return None
    pdf = answers.read(size)
    if len(pdf) < size:
        raise ValueError("the answer is cut off")
    return pdf
