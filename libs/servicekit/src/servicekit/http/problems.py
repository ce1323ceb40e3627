"""Problem documents (RFC 9457): every error a client meets, from the registry in contracts.

A document's bytes follow from the code, the detail, the path and the facts alone, so that a stored refusal is replayed
byte for byte: `instance` is the request's path, and the request id travels in its header only.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, assert_never

import msgspec

from contracts import problems
from contracts.field_codes import FIELD_CODES
from contracts.problems import ProblemCode
from servicekit.access.admission import (
    AccessStale,
    InvalidAccessPosition,
    Limited,
    NotAllowed,
    NotAuthenticated,
    RawHeaders,
)
from servicekit.failures import RETRY_AFTER_S, Halted, OperationalError, Overloaded, operational
from servicekit.read_model.waiting import PositionNotReached

PROBLEM_TYPE: Final = b"application/problem+json"
FIELD_ERRORS_MAX: Final = 50
"""More than these are not listed: a body of 64 KiB could name thousands."""

_STATUS_REFUSED: Final = 400

ProblemMap = Mapping[type[Exception], tuple[ProblemCode, str]]
"""The errors that the application may raise, each with the code and the detail of its problem."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field: where (a JSON pointer, `""` is the whole body), a stable code, and in words."""

    pointer: str
    code: str
    detail: str

    def __post_init__(self) -> None:
        assert self.code in FIELD_CODES, self.code


class Problem(Exception):
    """A request that cannot be done, raised at the shell and answered as a problem document.

    *facts* are members a client needs to act; money among them is an object, never a number. `retry_after_s` among them
    is answered as `Retry-After` too.
    """

    def __init__(
        self,
        code: ProblemCode,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        **facts: Any,
    ) -> None:
        super().__init__(f"{code.code}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = errors
        self.facts = facts
        self._headers = headers

    @property
    def headers(self) -> RawHeaders:
        """The headers the answer carries besides those of every answer."""
        headers = list(self._headers)
        if "retry_after_s" in self.facts:
            headers.append((b"retry-after", b"%d" % self.facts["retry_after_s"]))
        elif self.code.status == problems.OVERLOADED.status:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
        return headers

    def render(self, instance: str) -> bytes:
        """Return the document for the request whose path is *instance*."""
        return render_problem(self.code, self.detail, instance=instance, errors=self.errors, **self.facts)


def render_problem(
    code: ProblemCode, detail: str, *, instance: str | None, errors: Sequence[FieldError] = (), **facts: Any
) -> bytes:
    """Return a problem document's bytes: the same arguments always give the same bytes.

    *instance* is None where no request met the problem; the document has no such member then.
    """
    assert not any(isinstance(fact, float) for fact in facts.values()), "no float leaves the platform"
    document: dict[str, Any] = {
        "type": f"/problems/{code.code}",
        "title": code.title,
        "status": code.status,
        "detail": detail,
        **({} if instance is None else {"instance": instance}),
        "code": code.code,
    }
    if errors:
        document["errors"] = list(errors[:FIELD_ERRORS_MAX])
    return msgspec.json.encode(document | facts)


def is_problem(status: int) -> bool:
    """Tell whether the body of an answer with *status* is a problem document."""
    return status >= _STATUS_REFUSED


@contextmanager
def raises_as_problems(problem_map: ProblemMap) -> Iterator[None]:
    """Raise the Problem that *problem_map* has for an error of the body; other errors pass unchanged."""
    try:
        yield
    except tuple(problem_map) as error:
        code, detail = next(problem for kind, problem in problem_map.items() if isinstance(error, kind))
        raise Problem(code, detail) from None


def problem_from(error: BaseException) -> Problem:
    """Return the answer to any *error*: operational ones are 503, what nobody expected is a bare `internal_error`."""
    match operational(error) or error:
        case Problem() as problem:
            return problem
        case (
            NotAuthenticated()
            | NotAllowed()
            | AccessStale()
            | InvalidAccessPosition()
            | PositionNotReached() as refused
        ):
            return _not_admitted(refused)
        case Limited() as limited:
            return _rate_limited(limited)
        case OperationalError(detail=detail, retry_after_s=retry_after_s) as failed:
            return Problem(_code_of(failed), detail, retry_after_s=retry_after_s)
        case _:
            return Problem(problems.INTERNAL_ERROR, "The request met a bug; it is recorded under its Request-Id.")


def _code_of(failed: OperationalError) -> ProblemCode:
    match failed:
        case Overloaded():
            return problems.OVERLOADED
        case Halted():
            return problems.HALTED
        case _:
            return problems.UNAVAILABLE


def _not_admitted(
    refused: NotAuthenticated | NotAllowed | AccessStale | InvalidAccessPosition | PositionNotReached,
) -> Problem:
    match refused:
        case NotAuthenticated():
            return Problem(refused.code, refused.detail, headers=[(b"www-authenticate", _challenge(refused))])
        case NotAllowed():
            return _forbidden(refused)
        case AccessStale():
            return Problem(problems.ACCESS_STALE, str(refused), retry_after_s=RETRY_AFTER_S)
        case InvalidAccessPosition():
            return Problem(problems.INVALID_POSITION, "Min-Access-Position must be the value of an Access-Position.")
        case PositionNotReached():
            detail = "What Min-Access-Position names is not known here yet."
            return Problem(problems.POSITION_NOT_REACHED, detail, retry_after_s=RETRY_AFTER_S)
        case _:
            assert_never(refused)


def _challenge(refused: NotAuthenticated) -> bytes:
    """Return the challenge of RFC 6750: what was wrong is told of a credential that was given, not of a missing one."""
    if not refused.is_challenged:
        return b"Bearer"
    return f'Bearer error="invalid_token", error_description="{refused.code.title}"'.encode()


def _rate_limited(limited: Limited) -> Problem:
    facts: dict[str, Any] = {} if limited.retry_after_s is None else {"retry_after_s": limited.retry_after_s}
    return Problem(problems.RATE_LIMITED, limited.detail, headers=limited.headers, **facts)


def _forbidden(refused: NotAllowed) -> Problem:
    facts: dict[str, Any] = {"kind": refused.kind.value}
    if refused.scope is not None:
        facts["required_scope"] = refused.scope.name
    if refused.index is not None:
        facts["index"] = refused.index
    return Problem(problems.FORBIDDEN, refused.detail, **facts)
