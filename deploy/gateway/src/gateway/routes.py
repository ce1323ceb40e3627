"""Which service answers which path, as the OpenAPI documents of the services say. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PUBLIC: Final = "/v1/"
"""What is behind the gateway; pages of the process itself, health and metrics, stay inside."""
SERVICES: Final = ("access", "wallet", "transaction-history", "fraud", "notifications")
_PARAMETER: Final = re.compile(r"\{[^/{}]+\}")


class AmbiguousRoute(Exception):
    """Two services claim one path, or one path has no service."""


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """One path: its *template* as documented, the *service* that owns it, the bytes that a body there may have."""

    template: str
    service: str
    body_max_bytes: int

    @property
    def pattern(self) -> str:
        """The regular expression that a path of this route begins with."""
        return "^" + "[^/?]+".join(re.escape(part) for part in _PARAMETER.split(self.template))


def routes_of(documents: Mapping[str, Mapping[str, Any]]) -> list[Route]:
    """Return every public path of *documents*, by service, those without parameters first.

    Raises AmbiguousRoute where two services claim a path or it is not clear which of two routes a request means.
    """
    found = [
        Route(path, service, _body_max_bytes(operations.values()))
        for service, document in documents.items()
        for path, operations in document["paths"].items()
        if path.startswith(PUBLIC)
    ]
    _refuse_ambiguous(found)
    return sorted(found, key=lambda route: ("{" in route.template, route.template))


def _body_max_bytes(operations: Iterable[Mapping[str, Any]]) -> int:
    return max((int(each.get("x-body-max-bytes", 0)) for each in operations), default=0)


def _refuse_ambiguous(routes: Sequence[Route]) -> None:
    owners: dict[str, Route] = {}
    for route in routes:
        other = owners.setdefault(_PARAMETER.sub("{}", route.template), route)
        if other.service != route.service:
            raise AmbiguousRoute(f"{route.template} is claimed by {other.service} and by {route.service}")
        if route.service not in SERVICES:
            raise AmbiguousRoute(f"{route.template} is of {route.service}, which the gateway does not know")
