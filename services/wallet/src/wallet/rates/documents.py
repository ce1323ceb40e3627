"""Documents of rates, read strictly: the reference rates of the European Central Bank, and JSON. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from defusedxml import ElementTree

from contracts.money import EXPONENTS
from contracts.times import InstantError, parse_instant

DOCUMENT_BYTES_MAX: Final = 1024 * 1024
ECB: Final = "ecb"
JSON: Final = "json"
_ECB_BASE: Final = "EUR"
_CUBE: Final = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_RATE: Final = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,18})?", re.ASCII)


class Refusal(StrEnum):
    """Why a document is not believed."""

    MALFORMED = "malformed"
    """It is not of its format, or not well-formed, or brings a DTD or entities."""
    UNKNOWN_BASE = "unknown_base"
    NO_RATES = "no_rates"
    BAD_RATE = "bad_rate"
    """A rate is no positive plain decimal of at most 12 digits before and 18 behind its point, or stands twice."""
    BAD_TIME = "bad_time"
    """When it is of cannot be read, or is later than now."""


class RatesRefused(Exception):
    """Nothing of the document is taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class RateDocument(NamedTuple):
    """What a document says: how much of each currency that is known here one unit of *base* is, as of when."""

    source: str
    base: str
    as_of: datetime
    rates: Mapping[str, Decimal]


class _Json(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON: rates are decimals, as strings or as numbers, whose digits are taken as they stand."""

    base: str
    as_of: str
    rates: dict[str, msgspec.Raw]
    source: str = JSON


_decode_json: Final = msgspec.json.Decoder(_Json).decode
Parse = Callable[[bytes], RateDocument]
"""Reads a document; raises RatesRefused."""


def parse_ecb(body: bytes) -> RateDocument:
    """Return the reference rates in *body*, which are of the beginning of their day; raises RatesRefused."""
    try:
        root = ElementTree.fromstring(body, forbid_dtd=True)
    except (ValueError, SyntaxError, LookupError) as error:  # what is forbidden is a ValueError
        raise RatesRefused(Refusal.MALFORMED) from error
    days = [cube for cube in root.iter(_CUBE) if "time" in cube.attrib]
    if not days:
        raise RatesRefused(Refusal.MALFORMED)
    newest = max(days, key=lambda day: str(day.attrib["time"]))
    said = [(str(cube.get("currency", "")), str(cube.get("rate", ""))) for cube in newest.iter(_CUBE)]
    rates = [(currency, rate) for currency, rate in said if currency or rate]
    return _document(ECB, _ECB_BASE, newest.attrib["time"], rates)


def parse_json(body: bytes) -> RateDocument:
    """Return the rates in *body*; raises RatesRefused."""
    try:
        said = _decode_json(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RatesRefused(Refusal.MALFORMED) from error
    rates = [(currency, bytes(raw).decode().strip('"')) for currency, raw in said.rates.items()]
    return _document(said.source, said.base, said.as_of, rates)


PARSERS: Final[Mapping[str, Parse]] = {ECB: parse_ecb, JSON: parse_json}
"""How each format is read."""


def _document(source: str, base: str, as_of: str, said: Iterable[tuple[str, str]]) -> RateDocument:
    if base not in EXPONENTS:
        raise RatesRefused(Refusal.UNKNOWN_BASE)
    rates: dict[str, Decimal] = {}
    for currency, text in said:
        if _RATE.fullmatch(text) is None or currency in rates:
            raise RatesRefused(Refusal.BAD_RATE)
        rate = rates[currency] = Decimal(text)
        if not rate:
            raise RatesRefused(Refusal.BAD_RATE)
    known = {currency: rate for currency, rate in rates.items() if currency in EXPONENTS and currency != base}
    if not known:
        raise RatesRefused(Refusal.NO_RATES)
    return RateDocument(source[:50], base, _instant(as_of), known)


def _instant(text: str) -> datetime:
    try:
        if _DATE.fullmatch(text) is not None:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_instant(text)
    except (ValueError, InstantError) as error:
        raise RatesRefused(Refusal.BAD_TIME) from error
