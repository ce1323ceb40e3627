"""What a command is at the edge: how it is asked for, what it becomes, how it is answered; and all of them, joined."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Protocol

from msgspec import Struct

from contracts import scopes
from contracts.problems import ProblemCode
from contracts.scopes import Scope
from servicekit.access.admission import Access
from servicekit.http.route import Link
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain.commands import Command
from wallet.domain.facts import Fact, RowFact
from wallet.domain.mandate import Mandate
from wallet.domain.rows import RowKind
from wallet.reads.rates_postgres import FxRates
from wallet.reads.reads_postgres import LedgerReads

ToCommand = Callable[[Any, Any, str], Command]
"""Makes a command of a request, the id in its path and its place in the body; raises Problem `invalid_request`.

The id is None where the path names none, else a UUID, or a text where `CommandSlice.is_path_text`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """Where is read what a command needs besides the rows that it names. *rates* is None where there are none."""

    reads: LedgerReads
    rates: FxRates | None


Prepare = Callable[[Lookups, Mandate, Sequence[Any]], Awaitable[Sequence[Command]]]
"""Gives commands what is looked up for them: what never changes and costs a search, and is no part of what was asked.

Returns as many commands in the same order; raises as `Pool.connection` does.
"""
_PARAMETER: Final = re.compile(r"\{(\w+)_id\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSlice:
    """One command, through all layers. Everything that lists commands is derived from these.

    *path* may name one id, as `{wallet_id}`; a member of a batch names it in a member of its own. *located_at* is what
    the id of the made resource stands behind in `Location`, None where nothing is made. *facts* are those that the
    command alone brings, *row_facts* those of rows that have events of their own, *kinds* the kinds of rows.
    *also_needs* returns the scope that a request needs besides. *is_path_text*: the id in the path is a text of the
    tenant's own, as an owner's is, no UUID. *prepare* is None where nothing is to be looked up.
    """

    command: type[Command]
    facts: tuple[type[Fact], ...] = ()
    row_facts: tuple[type[RowFact], ...] = ()
    kinds: tuple[RowKind, ...] = ()
    request: type[Struct]
    to_command: ToCommand
    prepare: Prepare | None = None
    answer: Callable[[Any, CarriedOut], Answer]
    method: str = "POST"
    path: str
    access: Access
    located_at: str | None = None
    operation_id: str
    summary: str
    tag: str
    status: int = 200
    response: type[Struct]
    problems: tuple[ProblemCode, ...] = ()
    links: tuple[Link, ...] = ()
    also_needs: Callable[[Any], Scope | None] | None = None
    is_path_text: bool = False

    @property
    def path_kind(self) -> str | None:
        """The kind of what the id in the path names (`wallet`), or None."""
        found = _PARAMETER.search(self.path)
        return None if found is None else found[1]


class MayForce(Protocol):
    """A request that may go below a wallet's floor and through its restrictions."""

    @property
    def force(self) -> bool:
        """Whether it does."""
        ...


def force_scope(request: MayForce) -> Scope | None:
    """Return the scope that force needs, None where *request* does not ask for it."""
    return scopes.FORCED_CREATE if request.force else None


class Catalog:
    """Every command of the service, and what follows from them.

    *inner* are those that the service sends itself, with what their answers are made by.
    """

    def __init__(
        self,
        slices: Sequence[CommandSlice],
        inner: "Mapping[type[Command], Callable[[Any, CarriedOut], Answer]]" = MappingProxyType({}),
    ) -> None:
        self.slices = tuple(slices)
        self._inner = inner

    @cached_property
    def facts(self) -> tuple[type[Fact | RowFact], ...]:
        """Every fact that the journal may tell."""
        told: dict[type[Fact | RowFact], None] = {}
        for each in self.slices:
            told |= dict.fromkeys((*each.facts, *each.row_facts))
        return tuple(told)

    @cached_property
    def kinds(self) -> tuple[RowKind, ...]:
        """Every kind of row besides wallets."""
        return tuple({kind.number: kind for each in self.slices for kind in each.kinds}.values())

    @cached_property
    def preparing(self) -> Mapping[type[Command], Prepare]:
        """How commands are prepared, those that are."""
        return {each.command: each.prepare for each in self.slices if each.prepare is not None}

    @cached_property
    def answers(self) -> Mapping[type[Command], Callable[[Any, CarriedOut], Answer]]:
        """How each command is answered."""
        return {**{each.command: each.answer for each in self.slices}, **self._inner}
