"""What a request of each operation is made of: a thing of one owner of one tenant, and how it is named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx2
from tests.access_matrix.callers import Caller, Home
from tests.access_matrix.expecting import Named

from contracts.ids import new_id_text
from contracts.scopes import Scope

Json = dict[str, Any]
OPERATION: Final = "as the operation says"


class Setup(Protocol):
    """The running service as it is set up: *admin* may do everything in a tenant."""

    def admin(self, home: Home) -> httpx2.Client:
        """Return a client of the tenant's own operator with every scope."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request: its method and path, and what is sent."""

    method: str
    path: str
    json: Json | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a request is made that names a thing.

    *fresh* makes a thing that belongs to the owner and returns its id. *body* and *params* are made of the id and the
    caller; the id is also what the operation's only path parameter names. *nothing* returns the id of what does not
    exist. *owned* is the operation's unless it is told. *missing* is the code of the 404, None where there is none.
    *mark* returns what stands in the answer of a list exactly where the caller may see the thing.
    *across* is the scope, among *needs*, that lets another tenant's caller reach the thing. *is_anothers_doing*: staff
    made the thing, and nobody that acts for some owners alone may change it.
    *member* is the type of the batch's command that is looked at, *scope* that command's own.
    """

    fresh: Callable[[], str]
    body: Callable[[str, Caller], Json | None] = lambda _id, _caller: None
    params: Callable[[str], Mapping[str, str]] = lambda _id: {}
    nothing: Callable[[], str] = new_id_text
    owned: str | None = OPERATION
    missing: str | None = None
    mark: Callable[[str], str] | None = None
    needs: frozenset[Scope] = frozenset()
    needs_every_owner: bool = False
    across: Scope | None = None
    is_anothers_doing: bool = False
    member: str | None = None
    scope: Scope | None = None
    is_atomic: bool = False

    def named(self, owned: str | None) -> Named:
        """Return what a request names, of an operation whose owner stands where *owned* says."""
        return Named(
            owned=owned if self.owned == OPERATION else self.owned,
            is_ours=self.missing is not None,
            missing=self.missing or "",
            needs=self.needs,
            needs_every_owner=self.needs_every_owner,
            across=self.across,
            is_anothers_doing=self.is_anothers_doing,
        )

    def ask(self, method: str, path: str, thing: str, caller: Caller) -> Ask:
        """Return the request of *caller* about *thing*."""
        before, _, rest = path.partition("{")
        filled = path if not rest else before + quote(thing, safe="") + rest.partition("}")[2]
        return Ask(method=method, path=filled, json=self.body(thing, caller), params=self.params(thing))


Recipes = Mapping[str, Sequence[Recipe]]
"""By the operation's name."""


def whatever() -> str:
    """Return an id where none is named."""
    return new_id_text()


def listed(fresh: Callable[[], str], params: Callable[[str], Mapping[str, str]] = lambda _id: {}) -> Recipe:
    """Return the recipe of a list that shows a thing to who may see it."""
    return Recipe(fresh=fresh, params=lambda thing: {"limit": "200", **params(thing)}, mark=lambda thing: thing)


def about_nothing() -> Recipe:
    """Return the recipe of an operation that names nothing."""
    return Recipe(fresh=whatever)


def made(answer: httpx2.Response) -> str:
    """Return the id of what an answer made."""
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def post(http: httpx2.Client, path: str, body: Json | None = None) -> httpx2.Response:
    """Send a command under a key of its own."""
    return http.post(path, json=body, headers={"Idempotency-Key": new_id_text()})


def made_first(http: httpx2.Client, path: str, params: Mapping[str, str] | None = None) -> str:
    """Return the id of the newest of what is listed."""
    answer = http.get(path, params=params)
    assert answer.is_success, answer.text
    return str(answer.json()["data"][0]["id"])
