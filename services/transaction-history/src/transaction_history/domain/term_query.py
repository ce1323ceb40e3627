"""From a filter to the terms that an entry of it has: candidates are found by them, and checked after reading. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.search_query import SearchQuery, Words
from transaction_history.domain.terms import PREFIX_CHARACTERS, Field, TenantHasher, metadata_value
from transaction_history.domain.words import normalised

WORDS_MAX: Final = 16
"""More words of a query narrow the candidates no further; all of them are checked after reading."""


@dataclass(frozen=True, slots=True)
class TermQuery:
    """What an entry's terms have: all of *required*, and one of each of *any_of*. One of nothing is in no entry."""

    required: tuple[int, ...] = ()
    any_of: tuple[tuple[int, ...], ...] = ()

    @property
    def is_vain(self) -> bool:
        """Whether no entry has them."""
        return () in self.any_of

    @property
    def is_empty(self) -> bool:
        """Whether every entry has them."""
        return not self.required and not self.any_of


def terms_of(asked: EntryFilter, hasher: TenantHasher, *, acts_for: frozenset[str] | None = None) -> TermQuery:
    """Return the terms of every entry of the hasher's tenant that *asked* lets through.

    A caller that *acts_for* some owners is not told of others' names: their being on the other side finds nothing.
    """
    groups = _Groups(hasher)
    groups.one_of(Field.OWNER, asked.owner_ids)
    groups.one_of(Field.WALLET, map(str, asked.wallet_ids))
    groups.one_of(Field.TRANSACTION, map(str, asked.transaction_ids))
    groups.one_of(Field.HOLD, map(str, asked.hold_ids))
    groups.one_of(Field.TYPE, asked.types)
    groups.one_of(Field.TRANSACTION_TYPE, asked.transaction_types)
    groups.one_of(Field.COUNTERPARTY_WALLET, map(str, asked.counterparty_wallet_ids))
    if asked.counterparty_owner_ids:
        groups.alternatives(_told(asked.counterparty_owner_ids, acts_for))
    groups.one_of(Field.COUNTERPARTY_ACCOUNT, asked.counterparty_accounts)
    groups.one_of(Field.REFERENCE, map(normalised, asked.references))
    for key, values in asked.metadata:
        groups.one_of(Field.METADATA, [metadata_value(key, value) for value in values])
    if asked.query is not None:
        _add_query(groups, asked.query, acts_for)
    return groups.query()


def scope_terms(owners: Iterable[str] | None, wallets: Iterable[UUID] | None, hasher: TenantHasher) -> TermQuery:
    """Return the terms of the entries of *owners* and of *wallets*; None is all of them."""
    groups = _Groups(hasher)
    if owners is not None:
        groups.alternatives((Field.OWNER, each) for each in owners)
    if wallets is not None:
        groups.alternatives((Field.WALLET, str(each)) for each in wallets)
    return groups.query()


class _Groups:
    """Groups of alternatives."""

    def __init__(self, hasher: TenantHasher) -> None:
        self._hasher = hasher
        self._groups: list[tuple[int, ...]] = []

    def one_of(self, field: str, values: Iterable[str]) -> None:
        """Require one of *values*, where there are any."""
        found = list(values)
        if found:
            self.alternatives((field, value) for value in found)

    def alternatives(self, terms: Iterable[tuple[str, str]]) -> None:
        """Require one of *terms*."""
        self._groups.append(tuple(dict.fromkeys(self._hasher.term(*each) for each in terms)))

    def query(self) -> TermQuery:
        """Return all of it."""
        required = dict.fromkeys(group[0] for group in self._groups if len(group) == 1)
        return TermQuery(tuple(required), tuple(dict.fromkeys(group for group in self._groups if len(group) != 1)))


def _add_query(groups: _Groups, query: SearchQuery, acts_for: frozenset[str] | None) -> None:
    for known in query.ids:
        text = str(known)
        fields = (Field.ID, Field.WALLET, Field.COUNTERPARTY_WALLET, Field.REFERENCE)
        groups.alternatives((field, text) for field in fields)
    for reference in query.references:
        groups.one_of(Field.REFERENCE, [reference])
    for named in query.types:
        groups.alternatives([(Field.TYPE, named), (Field.TRANSACTION_TYPE, named)])
    for other in query.counterparties:
        other_side = [(Field.COUNTERPARTY_WALLET, other), (Field.COUNTERPARTY_ACCOUNT, other)]
        groups.alternatives([*other_side, *_told([other], acts_for)])
    for owner in query.owners:
        groups.one_of(Field.OWNER, [owner])
    for wallet in query.wallets:
        groups.one_of(Field.WALLET, [str(wallet)])
    for key, value in query.metadata:
        groups.one_of(Field.METADATA, [metadata_value(key, value)])
    for field, word in _words(query.wanted):
        groups.one_of(field, [word])


def _words(wanted: Iterable[Words]) -> Iterator[tuple[str, str]]:
    """Yield the words that narrow the candidates most: the longest."""
    found = [
        (Field.PREFIX, word[:PREFIX_CHARACTERS])
        if each.is_prefix and index == len(each.words) - 1
        else (Field.WORD, word)
        for each in wanted
        for index, word in enumerate(each.words)
    ]
    yield from sorted(dict.fromkeys(found), key=lambda term: -len(term[1]))[:WORDS_MAX]


def _told(owners: Iterable[str], acts_for: frozenset[str] | None) -> list[tuple[str, str]]:
    return [(Field.COUNTERPARTY_OWNER, each) for each in owners if acts_for is None or each in acts_for]
