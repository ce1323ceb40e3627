"""Which route takes a path: its segments are split as they were sent, and decoded afterwards."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from starlette.types import Scope

from servicekit.http.route import Route

T = TypeVar("T")

PARAMETER: Final = re.compile(r"\{(\w+)\}")
_NONE: Final[Mapping[str, str]] = {}


_LINKS: Final = "/v1/history/downloads/"
"""What stands behind it is a credential."""


def instance_of(path: str) -> str:
    """Return *path* as problem documents tell it, which clients keep: without what is secret."""
    return f"{_LINKS}{{token}}" if path.startswith(_LINKS) else path


def routed_path(scope: Scope) -> str:
    """Return the request's path decoded but for the slashes, and percent signs, that belong to a segment's text."""
    raw: bytes = scope["raw_path"]
    if b"%" not in raw:
        path: str = scope["path"]
        return path
    return "/".join(_escaped(unquote(segment)) for segment in raw.decode("ascii").split("/"))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")


def segment_text(segment: str) -> str:
    """Return the text of a segment of a routed path."""
    return unquote(segment)


class RouteTable(Generic[T]):
    """Finds what belongs to a route: exact paths by one look-up, those with parameters by their pattern."""

    def __init__(self, routes: Iterable[tuple[Route, T]]) -> None:
        self._exact: dict[tuple[str, bytes], T] = {}
        self._patterns: list[tuple[str, re.Pattern[str], T]] = []
        for route, found in routes:
            if "{" in route.path:
                self._patterns.append((route.method, re.compile(PARAMETER.sub(r"(?P<\1>[^/]+)", route.path)), found))
            else:
                key = (route.method, route.path.encode("ascii"))
                assert key not in self._exact, route.path
                self._exact[key] = found

    def find(self, scope: Scope) -> tuple[T, Mapping[str, str]] | None:
        """Return what belongs to the route of *scope* with the parameters in its path, decoded; None without one."""
        method: str = scope["method"]
        found = self._exact.get((method, scope["raw_path"]))
        if found is not None:
            return found, _NONE
        path = routed_path(scope)
        for wanted, pattern, candidate in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)) is not None:
                return candidate, _texts(match.groupdict()) if "%" in path else match.groupdict()
        found = self._exact.get((method, path.encode()))  # letters of it may have been sent encoded
        return None if found is None else (found, _NONE)

    def methods_of(self, path: str) -> set[str]:
        """Return the methods that a routed *path* takes here: what a 405 names in `Allow`."""
        exact = {method for method, known in self._exact if known == path.encode()}
        return exact | {method for method, pattern, _ in self._patterns if pattern.fullmatch(path)}


def _texts(segments: Mapping[str, str]) -> Mapping[str, str]:
    return {name: segment_text(segment) for name, segment in segments.items()}
