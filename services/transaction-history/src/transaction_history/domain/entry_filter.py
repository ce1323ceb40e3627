"""What is asked of entries: parsed and refused once, for lists, searches and exports alike. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from contracts.events import EVENT_TYPES, EntryPosted, HoldCaptured, HoldChanged, HoldReleased
from contracts.ids import parse_id
from contracts.money import AMOUNT_MINOR_MAX, EXPONENTS, MoneyError, parse_limit_minor
from contracts.times import InstantError, parse_instant
from transaction_history.domain.search_query import QueryError, SearchQuery, parse_query

METADATA: Final = "metadata."
"""What begins the name of a filter by metadata; the rest is the key."""
METADATA_MAX: Final = 5
VALUES_MAX: Final = 20
TEXT_CHARACTERS_MAX: Final = 500
KEY_CHARACTERS_MAX: Final = 40
HOLD_TYPES: Final = frozenset(
    name for name, each in EVENT_TYPES.items() if issubclass(each.data, HoldChanged | HoldReleased)
)
"""What changes held alone: left out unless a filter names it."""
TYPES: Final = HOLD_TYPES | {
    name for name, each in EVENT_TYPES.items() if issubclass(each.data, EntryPosted | HoldCaptured)
}
NAMES: Final = (
    *("wallet_id", "owner_id", "transaction_id", "hold_id", "type", "transaction_type", "direction", "currency"),
    *("counterparty_wallet_id", "counterparty_owner_id", "counterparty_account", "amount_min", "amount_max"),
    *("from", "to", "reference", "q"),
)
"""The filters that have one name each."""
_COMMA: Final = re.compile(r"(?<!\\),")
_Value = TypeVar("_Value")


class Fault(NamedTuple):
    """What is wrong with the filter *name*: a stable field code, and a sentence for people."""

    name: str
    code: str
    detail: str


class FilterRefused(ValueError):
    """The filters are none, or contradict one another."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """What entries must be: one of each member's values; empty and None do not filter.

    The amounts are without their sign, of the one currency that stands beside them. *from_at* is included, *to_at* not.
    """

    wallet_ids: tuple[UUID, ...] = ()
    owner_ids: tuple[str, ...] = ()
    transaction_ids: tuple[UUID, ...] = ()
    hold_ids: tuple[UUID, ...] = ()
    types: tuple[str, ...] = ()
    transaction_types: tuple[str, ...] = ()
    direction: str | None = None
    currencies: tuple[str, ...] = ()
    counterparty_wallet_ids: tuple[UUID, ...] = ()
    counterparty_owner_ids: tuple[str, ...] = ()
    counterparty_accounts: tuple[str, ...] = ()
    amount_min_minor: int = 0
    amount_max_minor: int = AMOUNT_MINOR_MAX
    from_at: datetime | None = None
    to_at: datetime | None = None
    references: tuple[str, ...] = ()
    metadata: tuple[tuple[str, tuple[str, ...]], ...] = ()
    query: SearchQuery | None = None

    @property
    def is_by_key(self) -> bool:
        """Whether only what the entries' own keys serve is asked for: wallet, owner, transaction and time."""
        by_key = EntryFilter(
            wallet_ids=self.wallet_ids,
            owner_ids=self.owner_ids,
            transaction_ids=self.transaction_ids,
            from_at=self.from_at,
            to_at=self.to_at,
        )
        return self == by_key

    @property
    def amounts(self) -> tuple[int, int]:
        """The least and the most that an amount is; what changes held alone has none."""
        return self.amount_min_minor if self.has_holds else max(1, self.amount_min_minor), self.amount_max_minor

    @property
    def has_holds(self) -> bool:
        """Whether rows that changed held alone are asked for."""
        return any(each in HOLD_TYPES for each in self.types)


def parse_filter(given: Mapping[str, str]) -> EntryFilter:
    """Return the filter that the query parameters *given* are; raise FilterRefused with every fault."""
    reader = _Reader(given)
    currencies = reader.values("currency", _currency)
    query = reader.one("q", _query)
    asked = currencies if query is None else (*currencies, *query.currencies)
    low, high = reader.amounts(asked, query)
    metadata = reader.metadata()
    found = EntryFilter(
        wallet_ids=reader.values("wallet_id", _id),
        owner_ids=reader.values("owner_id", _text),
        transaction_ids=reader.values("transaction_id", _id),
        hold_ids=reader.values("hold_id", _id),
        types=reader.values("type", _type),
        transaction_types=reader.values("transaction_type", _text),
        direction=reader.one("direction", _direction),
        currencies=currencies,
        counterparty_wallet_ids=reader.values("counterparty_wallet_id", _id),
        counterparty_owner_ids=reader.values("counterparty_owner_id", _text),
        counterparty_accounts=reader.values("counterparty_account", _text),
        amount_min_minor=low,
        amount_max_minor=high,
        from_at=reader.one("from", _instant),
        to_at=reader.one("to", _instant),
        references=reader.values("reference", _text),
        metadata=metadata,
        query=query,
    )
    reader.refuse_order("from", found.from_at, found.to_at)
    if reader.faults:
        raise FilterRefused(reader.faults)
    return found


class _Refused(ValueError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Reader:
    """Reads parameters one by one, and collects what is wrong with them."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.faults = [
            Fault(name, "unknown_field", "There is no such filter.")
            for name in given
            if name not in NAMES and not name.startswith(METADATA)
        ]

    def one(self, name: str, read: Callable[[str], _Value]) -> _Value | None:
        """Return the one value of a filter."""
        text = self._given.get(name)
        return None if text is None else self._read(name, text, read)

    def values(self, name: str, read: Callable[[str], _Value]) -> tuple[_Value, ...]:
        """Return the values of a filter, which commas separate; a comma inside of one stands behind a backslash."""
        text = self._given.get(name)
        if text is None:
            return ()
        texts = [each.replace("\\,", ",") for each in _COMMA.split(text)]
        if len(texts) > VALUES_MAX:
            self.faults.append(Fault(name, "too_many", f"A filter has at most {VALUES_MAX} values."))
            return ()
        found = [self._read(name, each, read) for each in texts]
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def metadata(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the filters by metadata."""
        names = [name for name in self._given if name.startswith(METADATA)]
        if len(names) > METADATA_MAX:
            self.faults.append(Fault(names[METADATA_MAX], "too_many", f"At most {METADATA_MAX} keys of metadata."))
            return ()
        for name in names:
            if not 0 < len(name) - len(METADATA) <= KEY_CHARACTERS_MAX:
                self.faults.append(Fault(name, "invalid_name", f"A key has 1 to {KEY_CHARACTERS_MAX} characters."))
        return tuple((name.removeprefix(METADATA), self.values(name, _text)) for name in sorted(names))

    def amounts(self, currencies: Sequence[str], query: SearchQuery | None) -> tuple[int, int]:
        """Return the bounds of the amount, which stand beside one currency."""
        name = next((each for each in ("amount_min", "amount_max") if each in self._given), None)
        if name is None and (query is None or not query.amounts):
            return 0, AMOUNT_MINOR_MAX
        if len(set(currencies)) != 1:
            self.faults.append(Fault(name or "q", "missing", "An amount stands beside one currency."))
            return 0, AMOUNT_MINOR_MAX
        low = self.one("amount_min", lambda text: parse_limit_minor(text, currencies[0]))
        high = self.one("amount_max", lambda text: parse_limit_minor(text, currencies[0]))
        self.refuse_order("amount_min", low, None if high is None else high + 1)
        bounds = [(low or 0, AMOUNT_MINOR_MAX if high is None else high)]
        for bound in () if query is None else query.amounts:
            minor = self._read("q", bound.amount, lambda text: parse_limit_minor(text, currencies[0]))
            bounds.append(_between(bound.sign, minor or 0))
        return max(least for least, _ in bounds), min(most for _, most in bounds)

    def refuse_order(self, name: str, low: datetime | int | None, high: datetime | int | None) -> None:
        """Note that *low* is not before *high*."""
        if low is not None and high is not None and low >= high:  # type: ignore[operator]  # both are of one kind
            self.faults.append(Fault(name, "invalid_value", "The first bound is not before the second."))

    def _read(self, name: str, text: str, read: Callable[[str], _Value]) -> _Value | None:
        try:
            return read(text)
        except (_Refused, QueryError, MoneyError) as refused:
            self.faults.append(Fault(name, refused.code, refused.detail))
        except InstantError as refused:
            self.faults.append(Fault(name, "invalid_value", str(refused)))
        return None


def _between(sign: str, minor: int) -> tuple[int, int]:
    """Return the least and the most that an amount can be that compares with *minor* as *sign* says."""
    least = {">": minor + 1, ">=": minor, "=": minor}
    most = {"<": minor - 1, "<=": minor, "=": minor}
    return least.get(sign, 0), most.get(sign, AMOUNT_MINOR_MAX)


def _id(text: str) -> UUID:
    known = parse_id(text)
    if known is None:
        raise _Refused("invalid_id", "The value is not an id in its canonical form.")
    return known


def _text(text: str) -> str:
    if not 0 < len(text) <= TEXT_CHARACTERS_MAX:
        raise _Refused("too_short" if not text else "too_long", f"A value has 1 to {TEXT_CHARACTERS_MAX} characters.")
    if not text.isprintable() and ("\0" in text or any("\ud800" <= each <= "\udfff" for each in text)):
        raise _Refused("invalid_text", "The text holds a NUL or what is no character.")
    return text


def _type(text: str) -> str:
    if text not in TYPES:
        raise _Refused("invalid_value", "There are no entries of that type.")
    return text


def _direction(text: str) -> str:
    if text not in ("in", "out"):
        raise _Refused("invalid_value", "The direction is in or out.")
    return text


def _currency(text: str) -> str:
    if text not in EXPONENTS:
        raise _Refused("unknown_currency", "The currency is not an ISO 4217 code this platform knows.")
    return text


def _instant(text: str) -> datetime:
    return parse_instant(text)


def _query(text: str) -> SearchQuery:
    query = parse_query(text)
    for currency in query.currencies:
        _currency(currency)
    return query
