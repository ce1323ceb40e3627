"""Whether an entry that was read is what was asked for, and how well: a hash that is another's shows nowhere. Pure."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from contracts.events import Private
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.rows import EntryRow
from transaction_history.domain.search_query import SearchQuery, Words
from transaction_history.domain.terms import metadata_value
from transaction_history.domain.words import normalised, words_of

_WEIGHTS: Final = {"reference": 8, "label": 4, "description": 4, "destination": 3, "metadata": 2}
"""What a word counts by where it stands; twice, where it stands whole."""
_WHOLE: Final = 2


class Entry:
    """An entry as it is compared: its *row*, its free text in clear, and the owners that who asks acts for."""

    def __init__(self, row: EntryRow, private: Private, acts_for: frozenset[str] | None) -> None:
        self.row = row
        self.private = private
        self.texts = [(name, words_of(text)) for name, text in _named_texts(private)]
        other = row.counterparty_owner_id
        self.other_owner = other if acts_for is None or other in acts_for else None
        self.metadata = {metadata_value(key, value) for key, value in (private.metadata or {}).items()}

    def matches(self, asked: EntryFilter) -> bool:
        """Tell whether *asked* lets the entry through."""
        return (
            self._is_named(asked)
            and self._is_of(asked)
            and self._is_written(asked)
            and (asked.query is None or self._has(asked.query))
        )

    def score(self, query: SearchQuery | None) -> int:
        """Return how well the words of *query* are met: more is better."""
        return 0 if query is None else sum(self._worth(wanted) for wanted in query.wanted)

    def _is_named(self, asked: EntryFilter) -> bool:
        """Tell whether the ids and types are those asked for."""
        row = self.row
        return (
            _among(row.wallet_id, asked.wallet_ids)
            and _among(row.owner_id, asked.owner_ids)
            and _among(row.transaction_id, asked.transaction_ids)
            and _among(row.hold_id, asked.hold_ids)
            and _among(row.type, asked.types)
            and _among(row.transaction_type, asked.transaction_types)
        )

    def _is_of(self, asked: EntryFilter) -> bool:
        """Tell whether the other side, the amount and the time are as asked for."""
        row, (least, most) = self.row, asked.amounts
        return (
            _among(row.counterparty_wallet_id, asked.counterparty_wallet_ids)
            and _among(self.other_owner, asked.counterparty_owner_ids)
            and _among(row.counterparty_account, asked.counterparty_accounts)
            and _among(row.currency, asked.currencies)
            and least <= abs(row.amount_minor) <= most
            and (asked.direction is None or (row.amount_minor > 0) == (asked.direction == "in"))
            and (asked.from_at is None or row.occurred_at >= asked.from_at)
            and (asked.to_at is None or row.occurred_at < asked.to_at)
        )

    def _is_written(self, asked: EntryFilter) -> bool:
        """Tell whether reference and metadata are exactly those asked for."""
        metadata = self.private.metadata or {}
        return _among(self.private.reference, asked.references) and all(
            metadata.get(key) in values for key, values in asked.metadata
        )

    def _has(self, query: SearchQuery) -> bool:
        row = self.row
        return (
            all(self._worth(wanted) for wanted in query.wanted)
            and not any(self._worth(excluded) for excluded in query.excluded)
            and all(self._has_id(known) for known in query.ids)
            and all(self._has_reference(reference) for reference in query.references)
            and all(named in (row.type, row.transaction_type) for named in query.types)
            and all(self._is_with(other) for other in query.counterparties)
            and all(owner == row.owner_id for owner in query.owners)
            and all(wallet == row.wallet_id for wallet in query.wallets)
            and all(currency == row.currency for currency in query.currencies)
            and all(metadata_value(key, value) in self.metadata for key, value in query.metadata)
        )

    def _has_id(self, known: UUID) -> bool:
        row = self.row
        ids = (row.event_id, row.transaction_id, row.hold_id, row.related_transaction_id)
        return known in (*ids, row.wallet_id, row.counterparty_wallet_id) or self._has_reference(str(known))

    def _has_reference(self, reference: str) -> bool:
        return self.private.reference is not None and normalised(self.private.reference) == reference

    def _is_with(self, other: str) -> bool:
        row = self.row
        wallet = None if row.counterparty_wallet_id is None else str(row.counterparty_wallet_id)
        return other in (wallet, row.counterparty_account, self.other_owner)

    def _worth(self, wanted: Words) -> int:
        """Return what *wanted* counts for where it counts most; 0 where it does not stand."""
        return max((_WEIGHTS[name] * _found(wanted, words) for name, words in self.texts), default=0)


def _named_texts(private: Private) -> list[tuple[str, str]]:
    fields = ("reference", "description", "label", "destination")
    named = [(name, text) for name in fields if (text := getattr(private, name))]
    return named + [("metadata", text) for text in (private.metadata or {}).values()]


def _among(value: object, values: Sequence[object]) -> bool:
    return not values or value in values


def _found(wanted: Words, words: Sequence[str]) -> int:
    """Return how *wanted* stands among *words*: 0 not at all, 1 begun, 2 whole."""
    *before, last = wanted.words
    length, best = len(wanted.words), 0
    for index in range(len(words) - length + 1):
        if list(words[index : index + length - 1]) == before:
            ending = words[index + length - 1]
            if ending == last:
                return _WHOLE
            if wanted.is_prefix and ending.startswith(last):
                best = 1
    return best
