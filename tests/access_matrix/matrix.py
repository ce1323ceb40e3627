"""The cells: what each caller is answered to each operation, judged by what it must be answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx2
from tests.access_matrix.callers import CALLERS, OURS, OWNER, Caller
from tests.access_matrix.expecting import FORBIDDEN, MISSING, UNAUTHENTICATED, Expected, Named, expected
from tests.access_matrix.of_wallet import TAKING_BACK
from tests.access_matrix.operations import Operation, guarded_operations
from tests.access_matrix.recipes import Ask, Recipe
from tests.access_matrix.world import RECIPES, World

from contracts.scopes import WALLETS_OPEN, Scope

OF_EACH_ANSWER: Final = frozenset({"request-id", "date", "ratelimit", "ratelimit-policy", "content-length"})
BATCH_OK: Final = 200
OPENS_WALLETS: Final = Caller(name="service that may only open wallets")
OPENS_ONE: Final = {"type": "open_wallet", "owner_id": OWNER, "currency": "USD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An operation with one way to ask for it."""

    operation: Operation
    recipe: Recipe

    @property
    def label(self) -> str:
        """How the row is called in findings."""
        member = self.recipe.member
        mode = "" if member is None else f" [{'atomic' if self.recipe.is_atomic else 'independent'} {member}]"
        return f"{self.operation.name}{mode}"

    @property
    def named(self) -> Named:
        """What a request names."""
        return self.recipe.named(self.operation.owned)

    @property
    def needed(self) -> frozenset[Scope]:
        """The scopes that a caller needs."""
        own = self.operation.scope
        return self.recipe.needs | (frozenset() if own is None else {own})

    def ask(self, thing: str, caller: Caller) -> Ask:
        """Return the request of *caller* about *thing*."""
        return self.recipe.ask(self.operation.method, self.operation.path, thing, caller)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer, or the part of a batch's that is about the command that is looked at."""

    status: int
    body: Any
    index: int | None = None


@dataclass(slots=True)
class Matrix:
    """The rows of one service, and how many cells were judged."""

    world: World
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    cells: int = 0

    def __post_init__(self) -> None:
        recipes = RECIPES[self.world.service](self.world, self.world.database)
        self.rows = {
            operation.name: [_row(operation, recipe) for recipe in recipes.get(operation.name, ())]
            for operation in guarded_operations(self.world.service)
        }
        assert recipes.keys() <= self.rows.keys(), f"no such operations: {sorted(recipes.keys() - self.rows.keys())}"

    def judge(self, operation: str) -> list[str]:
        """Judge every cell of *operation*; return what is wrong, a line each."""
        findings: list[str] = []
        for row in self.rows[operation]:
            wanted = {caller: expected(row.operation, row.named, caller) for caller in CALLERS}
            findings += self.judge_refused(row, {who: want for who, want in wanted.items() if want.is_refused})
            for caller, want in wanted.items():
                if not want.is_refused:
                    findings += self.judge_admitted(row, caller, want)
        return findings

    def judge_refused(self, row: Row, wanted: Mapping[Caller, Expected]) -> list[str]:
        """Judge what is refused: status, code, an unchanged database, and that what exists is not told from nothing."""
        findings: list[str] = []
        thing, nothing = row.recipe.fresh(), row.recipe.nothing()
        asked = {caller: (row.ask(thing, caller), row.ask(nothing, caller)) for caller in wanted}
        for caller in wanted:  # whoever is not known yet becomes so now
            self.world.credentials.headers(caller, row.needed)
        before = self.world.digests()
        for caller, (about_thing, about_nothing) in asked.items():
            want = wanted[caller]
            answer = self.world.send(about_thing, caller, row.needed)
            wrong = _differences(row, want, answer)
            if want.status == MISSING:
                twin = self.world.send(about_nothing, caller, row.needed)
                wrong += _told_apart(answer, twin, thing, nothing)
            after = self.world.digests()
            wrong += [f"changed {table}" for table in after if after[table] != before[table]]
            before = after
            findings += self._found(row, caller, wrong)
        return findings

    def judge_admitted(self, row: Row, caller: Caller, want: Expected) -> list[str]:
        """Judge what is admitted: its status, and what of others' is shown."""
        thing, nothing = row.recipe.fresh(), row.recipe.nothing()
        answer = self.world.send(row.ask(thing, caller), caller, row.needed)
        wrong = _differences(row, want, answer)
        if row.recipe.mark is not None and answer.is_success:
            is_seen = row.recipe.mark(thing) in answer.text
            if is_seen != want.sees:
                wrong.append("is shown what is another's" if is_seen else "is not shown what is its own")
            if not want.sees and (caller.tenant_id == OURS or thing != OWNER):  # theirs has an owner of that name
                twin = self.world.send(row.ask(nothing, caller), caller, row.needed)
                wrong += _told_apart(answer, twin, thing, nothing)
        return self._found(row, caller, wrong)

    def judge_cell(self, operation: str, caller: Caller, member: str | None = None) -> list[str]:
        """Judge the cells of one caller, of a batch those with *member*; return what is wrong."""
        findings: list[str] = []
        for row in self.rows[operation]:
            want = expected(row.operation, row.named, caller)
            if row.recipe.member == member:
                judged = self.judge_refused(row, {caller: want}) if want.is_refused else None
                findings += self.judge_admitted(row, caller, want) if judged is None else judged
        return findings

    def judge_part_of_scopes(self, row: Row) -> list[str]:
        """Judge an atomic batch of a caller that holds the scope of its first command, and not of its second."""
        assert row.recipe.scope is not None
        ask = row.ask(row.recipe.fresh(), OPENS_WALLETS)
        assert ask.json is not None
        ask.json["commands"][0] = OPENS_ONE
        self.world.credentials.headers(OPENS_WALLETS, {WALLETS_OPEN})
        before = self.world.digests()
        answer = self.world.send(ask, OPENS_WALLETS, frozenset({WALLETS_OPEN}))
        got = answer.json()
        told = {name: got.get(name) for name in ("status", "code", "required_scope", "kind", "index")}
        wanted = {
            "status": FORBIDDEN,
            "code": "forbidden",
            "required_scope": row.recipe.scope.name,
            "kind": OPENS_WALLETS.kind.value,
            "index": 1,
        }
        wrong = [] if told == wanted else [f"{told} instead of {wanted}"]
        after = self.world.digests()
        wrong += [f"changed {table}" for table in after if after[table] != before[table]]
        return self._found(row, OPENS_WALLETS, wrong)

    def _found(self, row: Row, caller: Caller, wrong: list[str]) -> list[str]:
        self.cells += 1
        return [f"{row.label}: {caller.name}: {each}" for each in wrong]


def _row(operation: Operation, recipe: Recipe) -> Row:
    if recipe.member is not None:
        operation = replace(operation, scope=recipe.scope)
    return Row(operation=operation, recipe=recipe)


def _differences(row: Row, want: Expected, answer: httpx2.Response) -> list[str]:
    """Return how *answer* differs from what is wanted."""
    got = _read(row, answer)
    status = _status_of_member(row, want)
    if got.status != status:
        return [f"{got.status} {answer.text[:300]} instead of {status} {want.code or ''}"]
    if want.code is None:
        return []
    facts = {"code": want.code, **dict(want.facts), **_index(row, want)}
    wrong = [
        f"{name} is {got.body.get(name)} instead of {value}"
        for name, value in facts.items()
        if got.body.get(name) != value
    ]
    if want.status == UNAUTHENTICATED and not answer.headers.get("www-authenticate", "").startswith("Bearer"):
        wrong.append("no challenge")
    return wrong


def _status_of_member(row: Row, want: Expected) -> int:
    """Return the status of the command that is looked at: in a batch what is made is 201, all else 200."""
    made = {
        "open_wallet",
        "deposit",
        "withdrawal",
        "transfer",
        "payment",
        "hold",
        "capture",
        *TAKING_BACK,
        "quote",
        "conversion",
    }
    if want.code is None and row.recipe.member in made and not row.recipe.is_atomic:
        return 201
    return want.status


def _index(row: Row, want: Expected) -> dict[str, int]:
    """Return where in a batch the refused command must be said to stand, if it must."""
    if row.recipe.member is None or want.status == UNAUTHENTICATED:
        return {}
    if want.status == FORBIDDEN and "required_scope" in dict(want.facts):
        return {"index": 0}
    return {"index": 1} if row.recipe.is_atomic else {}


def _read(row: Row, answer: httpx2.Response) -> Answered:
    """Return what is answered about the command that is looked at."""
    body = answer.json() if answer.content else {}
    if row.recipe.member is None or row.recipe.is_atomic or answer.status_code != BATCH_OK:
        return Answered(status=answer.status_code, body=body)
    (result,) = body["results"]
    return Answered(status=result["status"], body=result["problem"] or result["body"])


def _told_apart(answer: httpx2.Response, twin: httpx2.Response, thing: str, nothing: str) -> list[str]:
    """Return how what is another's can be told from what does not exist."""
    if _all_but(answer, thing) == _all_but(twin, nothing):
        return []
    return [f"is told from nothing: {answer.status_code} {answer.text[:200]}, {twin.status_code} {twin.text[:200]}"]


def _all_but(answer: httpx2.Response, text: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all that an answer tells but for *text*, and what is of each answer."""
    quoted = httpx2.URL("http://a/").join(f"/{text}").raw_path[1:]
    body = answer.content.replace(text.encode(), b"-").replace(quoted, b"-")
    # A tag tells which path was asked for; that there is one is compared.
    headers = {**answer.headers, **({"etag": "-"} if "etag" in answer.headers else {})}
    told = [(name, value) for name, value in headers.items() if name not in OF_EACH_ANSWER]
    return answer.status_code, body, sorted(told)
