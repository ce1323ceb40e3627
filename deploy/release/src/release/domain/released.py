"""What the last release is made of that the next may not change: its migrations, functions and event types. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

BEHIND_SETTINGS: Final[Mapping[str, str]] = {}
"""Event types that the last release does not read, with the setting that has them published: off until the release
after the one that brings them, for the consumers of the release before run beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The last release: a checksum by path of each function's file and of each migration, and its event types."""

    functions: Mapping[str, str]
    migrations: Mapping[str, str]
    event_types: tuple[str, ...]

    def changed(self, files: Mapping[str, str]) -> Iterator[str]:
        """Give what *files*, checksums by path, lack of it or have otherwise: the release before runs on it."""
        for path, checksum in {**self.functions, **self.migrations}.items():
            if path not in files:
                yield f"{path} is gone: the release before has it"
            elif files[path] != checksum:
                what = "give the function a new name" if path in self.functions else "add a migration"
                yield f"{path} is of the release before: {what}, and leave this one as it was"

    def unread(self, event_types: Iterable[str], behind_settings: Mapping[str, str]) -> Iterator[str]:
        """Give the *event_types* that the release before does not read, and that no setting keeps from it."""
        for name in sorted(set(event_types) - set(self.event_types) - behind_settings.keys()):
            yield f"{name} is new: publish it behind a setting, and name that in BEHIND_SETTINGS"
