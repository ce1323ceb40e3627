"""What is kept of releases between commands: one file, and a lock that one command at a time holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from local_stack import beside, state
from release.domain.moves import Record
from release.errors import ReleaseFailed


class Book:
    """The record of the stack in *stack*."""

    def __init__(self, stack: Path) -> None:
        self._folder = beside.folder(stack)

    @property
    def file(self) -> Path:
        """Where it stands."""
        return self._folder / "state.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only command that changes something; raises ReleaseFailed where another does."""
        lock = self._folder / "command.lock"
        handle = state.take(lock)
        if handle is None:
            raise ReleaseFailed(f"another command is under way (pid {state.holder(lock)}): wait for its end")
        with handle:
            yield

    def read(self) -> Record | None:
        """Return what is kept, None where nothing is."""
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Record)
        except FileNotFoundError:
            return None

    def write(self, record: Record) -> None:
        """Keep *record* in place of what was."""
        self._folder.mkdir(parents=True, exist_ok=True)
        state.write_private(self.file, msgspec.json.format(msgspec.json.encode(record)).decode() + "\n")
