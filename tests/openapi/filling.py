"""What a document cannot say and a running service has: ids of what exists, real cursors and positions, fresh keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from contracts.ids import new_id_text

Json = dict[str, Any]
AnyCase = Case[Any]
Make = Callable[[], str]

COMMANDS: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True)
class Fill:
    """What one operation is given: *path* and *headers* by name, *body* changed in place.

    *query* says what stands in the place of a parameter that was given. *paged* is a query with more than one page, for
    requests with a cursor. *agree* changes a query in place whose parameters must fit each other.
    """

    path: Mapping[str, Make] = field(default_factory=dict)
    body: Callable[[Json], None] = lambda _body: None
    query: Mapping[str, Make] = field(default_factory=dict)
    paged: Mapping[str, str] = field(default_factory=dict)
    agree: Callable[[Json], None] = lambda _query: None


@dataclass
class Filler:
    """Fills the requests to one service. *position* is the last `Ledger-Position` that it answered."""

    http: httpx2.Client
    fills: Mapping[str, Fill]
    position: str | None = None

    def fill(self, case: AnyCase, *, is_linked: bool) -> None:
        """Fill every part of *case* that is meant to be valid; a linked request keeps the ids it was handed."""
        fill = self.fills.get(case.operation.label, Fill())
        wrong = _wrong_parts(case)
        if ParameterLocation.PATH not in wrong and not is_linked:
            case.path_parameters.update({name: make() for name, make in fill.path.items()})
        if ParameterLocation.BODY not in wrong and isinstance(case.body, dict):
            fill.body(case.body)
        if ParameterLocation.HEADER not in wrong:
            self._fill_headers(case)
        if ParameterLocation.QUERY not in wrong:
            case.query.update({name: make() for name, make in fill.query.items() if name in case.query})
            fill.agree(case.query)
            if "cursor" in case.query:
                self._fill_cursor(case, fill)

    def _fill_headers(self, case: AnyCase) -> None:
        if case.method.upper() in COMMANDS:
            case.headers["Idempotency-Key"] = new_id_text()
        if case.headers.pop("Min-Position", None) is not None and self.position is not None:
            case.headers["Min-Position"] = self.position

    def _fill_cursor(self, case: AnyCase, fill: Fill) -> None:
        """Give the cursor of a first page, and the first page's query with it: it is bound to that."""
        case.query.clear()
        case.query.update({**fill.paged, "limit": 1})
        page = self.http.get(case.formatted_path, params=case.query)
        if page.is_success and page.json()["next_cursor"] is not None:
            case.query["cursor"] = page.json()["next_cursor"]


def _wrong_parts(case: AnyCase) -> set[ParameterLocation]:
    """Return the parts of *case* that are wrong on purpose, as long as nothing of it was changed."""
    if case.meta is None or case.meta.generation.mode.is_positive:
        return set()
    return {place for place, part in case.meta.components.items() if part.mode.is_negative}
