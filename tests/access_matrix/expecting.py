"""What a caller must be answered: from what the operation asks, whose the named thing is, and who asks. Pure."""

from dataclasses import dataclass
from typing import Final

from tests.access_matrix.callers import OURS, OWNER, Caller, Holds
from tests.access_matrix.operations import Operation

from contracts.scopes import Scope
from servicekit.access.admission import EACH_ROW, EVERY_OWNER

UNAUTHENTICATED: Final = 401
FORBIDDEN: Final = 403
MISSING: Final = 404
OWNER_IN_BODY: Final = "/owner_id"
"""Where something is made for an owner, and nothing is named that exists."""
_BELONGS_TO_NO_OWNER: Final = (None, EACH_ROW, EVERY_OWNER)
"""What is not refused for its owner: others' rows are left out of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a request names.

    *is_ours*: a thing of one tenant, which others must not find. *missing* is the code where it is not found.
    *owned* is the operation's, or that of the part of the request that is looked at. *needs* are scopes that the caller
    must have itself beyond the operation's, since it hands them on; *needs_every_owner*: it hands on all owners.
    *across*: who holds that scope too, and acts for every owner, reaches the thing from another tenant.
    *is_anothers_doing*: another client placed it, so that only who acts for every owner may change it.
    """

    owned: str | None
    is_ours: bool
    missing: str
    needs: frozenset[Scope] = frozenset()
    needs_every_owner: bool = False
    across: Scope | None = None
    is_anothers_doing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An answer: *code* of the problem, None of a success; *facts* are members that it must have.

    *sees* tells whether the thing of the owner is among what is listed.
    """

    status: int
    code: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    sees: bool = True

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be changed."""
        return self.code is not None


def holds(caller: Caller, operation: Operation, scope: Scope) -> bool:
    """Tell whether *caller* has *scope*; what its kind may not have it never has."""
    if caller.kind not in scope.kinds:
        return False
    return caller.holds is not Holds.OTHERS or scope is not operation.scope


def expected(operation: Operation, named: Named, caller: Caller) -> Expected:
    """Return what *caller* must be answered to a request that names what *named* says."""
    if caller.refused is not None:
        return Expected(status=UNAUTHENTICATED, code=caller.refused)
    scope, kind = operation.scope, ("kind", caller.kind.value)
    if scope is not None and not holds(caller, operation, scope):
        return _forbidden(("required_scope", scope.name), kind)
    if caller.owners is not None and (named.owned == EVERY_OWNER or named.needs_every_owner):
        return _forbidden(kind)
    is_theirs = caller.tenant_id != OURS
    if named.is_ours and is_theirs and not _reaches_across(named, caller):
        return Expected(status=MISSING, code=named.missing)
    if named.owned not in _BELONGS_TO_NO_OWNER and not caller.covers(OWNER):
        return _forbidden() if named.owned == OWNER_IN_BODY else Expected(status=MISSING, code=named.missing)
    may_change = not named.is_anothers_doing or caller.owners is None
    seen = Expected(status=operation.status, sees=not is_theirs and _sees(named, caller))
    return seen if may_change else _forbidden(kind)


def _reaches_across(named: Named, caller: Caller) -> bool:
    return named.across is not None and caller.kind in named.across.kinds and caller.owners is None


def _sees(named: Named, caller: Caller) -> bool:
    return named.owned != EACH_ROW or caller.covers(OWNER)


def _forbidden(*facts: tuple[str, str]) -> Expected:
    return Expected(status=FORBIDDEN, code="forbidden", facts=facts)
