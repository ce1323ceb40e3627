"""The grammar of `q`: from what somebody typed to what an entry must have. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.ids import parse_id
from transaction_history.domain.terms import PREFIX_CHARACTERS
from transaction_history.domain.words import normalised, words_of

QUERY_CHARACTERS_MAX: Final = 200
PARTS_MAX: Final = 8
_FIELDS: Final = 'reference|type|counterparty|owner|wallet|currency|amount|metadata\\.[^\\s:"]{1,40}'
_PART: Final = re.compile(
    rf'\s*(?P<minus>-)?(?:(?P<field>{_FIELDS}):)?(?:"(?P<quoted>[^"]*)"(?=\s|$)|(?P<bare>[^\s"]+)(?=\s|$))\s*'
)
_EMPTY_FIELD: Final = re.compile(rf"(?:{_FIELDS}):")
_AMOUNT: Final = re.compile(r"(?P<sign><=|>=|<|>|=?)(?P<amount>[0-9]+(?:\.[0-9]+)?)", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REPLACED: Final = "\ufffd"
"""What a URL's bytes that are no UTF-8 have become."""


class QueryError(ValueError):
    """The text is no query. *code* is a stable field code, *detail* a sentence for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Words:
    """Words that stand beside one another in this order; where *is_prefix*, the last may go on."""

    words: tuple[str, ...]
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class AmountBound:
    """An amount as it was written, without its sign, and how an entry's compares: `<`, `<=`, `=`, `>=` or `>`."""

    sign: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """What an entry must have: all of *wanted* and none of *excluded* in its free text, and what its fields must be."""

    wanted: tuple[Words, ...] = ()
    excluded: tuple[Words, ...] = ()
    ids: tuple[UUID, ...] = ()
    references: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    counterparties: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    wallets: tuple[UUID, ...] = ()
    currencies: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    amounts: tuple[AmountBound, ...] = ()


def parse_query(text: str) -> SearchQuery:
    """Return what *text* asks for; raise QueryError."""
    _refuse_unreadable(text)
    parsed = _Parsed()
    position, parts = 0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise QueryError("invalid_value", 'A quotation mark has no other, or none stands around the text: "…".')
        parts += 1
        if parts > PARTS_MAX:
            raise QueryError("too_many", f"A query has at most {PARTS_MAX} terms.")
        position = part.end()
        parsed.add(part, is_last=position == len(text))
    query = parsed.query()
    if query == SearchQuery():
        raise QueryError("too_short", "The query has no word to look for.")
    return query


def _refuse_unreadable(text: str) -> None:
    if len(text) > QUERY_CHARACTERS_MAX:
        raise QueryError("too_long", f"A query has at most {QUERY_CHARACTERS_MAX} characters.")
    if "\0" in text or _REPLACED in text or _SURROGATE.search(text):
        raise QueryError("invalid_text", "The query holds a NUL or what is no character.")
    if not text.strip():
        raise QueryError("too_short", "The query is empty.")


class _Parsed:
    """What the parts of a query have come to so far."""

    def __init__(self) -> None:
        self._found: dict[str, list[object]] = {}

    def add(self, part: "re.Match[str]", *, is_last: bool) -> None:
        """Take a part; raise QueryError."""
        quoted, bare, field = part["quoted"], part["bare"], part["field"]
        text = bare if quoted is None else quoted
        if field is None:
            if quoted is None and _EMPTY_FIELD.fullmatch(text):
                raise QueryError("too_short", f"Nothing follows {text}")
            self._add_words(text, is_excluded=part["minus"] is not None, is_quoted=quoted is not None, is_last=is_last)
        elif part["minus"] is not None:
            raise QueryError("invalid_value", "A minus stands before words alone.")
        elif not text:
            raise QueryError("too_short", f"Nothing follows {field}:")
        else:
            self._add_field(field, text)

    def query(self) -> SearchQuery:
        """Return all of it."""
        return SearchQuery(**{name: tuple(values) for name, values in self._found.items()})  # type: ignore[arg-type]  # each is collected under its own name

    def _add_words(self, text: str, *, is_excluded: bool, is_quoted: bool, is_last: bool) -> None:
        known = None if is_quoted or is_excluded else parse_id(text)
        if known is not None:
            self._keep("ids", known)
            return
        words = words_of(text)
        if not words:
            return
        is_prefix = is_last and not is_quoted and not is_excluded and len(words[-1]) >= PREFIX_CHARACTERS
        self._keep("excluded" if is_excluded else "wanted", Words(words, is_prefix))

    def _add_field(self, field: str, text: str) -> None:
        match field:
            case "reference":
                self._keep("references", normalised(text))
            case "type":
                self._keep("types", text)
            case "counterparty":
                self._keep("counterparties", text)
            case "owner":
                self._keep("owners", text)
            case "wallet":
                self._keep("wallets", _wallet(text))
            case "currency":
                self._keep("currencies", text.upper())
            case "amount":
                self._keep("amounts", _amount(text))
            case _:
                self._keep("metadata", (normalised(field.removeprefix("metadata.")), normalised(text)))

    def _keep(self, name: str, value: object) -> None:
        self._found.setdefault(name, []).append(value)


def _wallet(text: str) -> UUID:
    known = parse_id(text)
    if known is None:
        raise QueryError("invalid_id", "A wallet is named by its id.")
    return known


def _amount(text: str) -> AmountBound:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise QueryError("invalid_amount", "An amount is a plain decimal behind <, <=, =, >= or >.")
    return AmountBound(found["sign"] or "=", found["amount"])
