"""Which ids the platform gave."""

from typing import Final
from uuid import UUID

UNKNOWN: Final = UUID("01890000-0000-7000-8000-000000000000")
"""An id of the right form that no platform gave."""


class Ids:
    """Which id the platform gave to each name, and to what a line made: a transaction, a hold, a quote."""

    def __init__(self) -> None:
        self._by_name: dict[str, UUID] = {}
        self._by_line: dict[int, UUID] = {}

    def learn(self, name: str, wallet_id: UUID) -> None:
        """Remember the id of an opened wallet."""
        self._by_name[name] = wallet_id

    def learn_made(self, line: int, made_id: UUID) -> None:
        """Remember the id of what *line* made."""
        self._by_line[line] = made_id

    def of(self, name: str) -> str:
        """Return the id of *name* as text, that of no wallet where it was never opened."""
        return str(self._by_name.get(name, UNKNOWN))

    def made_by(self, line: int) -> UUID:
        """Return the id of what *line* made, that of nothing where the platform refused it."""
        return self._by_line.get(line, UNKNOWN)

    def bytes_of(self, name: str) -> bytes:
        """Return the id's bytes."""
        return self._by_name[name].bytes
