"""What the history's routes share: parameters of paths and queries, and how refusals are told."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final, Literal

from fastapi import Path, Query

from contracts import problems
from contracts.money import MoneyError, exponent_of, parse_limit_minor
from contracts.zones import zone_names
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError, ProblemMap
from servicekit.http.routes.parsing import instant_of, path_id
from servicekit.read_model.projected import SubjectParked
from transaction_history.reads.transactions import TransactionUnknown
from transaction_history.reads.wallets import WalletUnknown

HISTORY: Final = "/v1/history"
OWNER_CHARACTERS_MAX: Final = 100
VALUES_MAX: Final = 20
"""How many values one filter may have, separated by commas."""
VERSION_MAX: Final = 2**63 - 1

PROBLEM_MAP: Final[ProblemMap] = {
    WalletUnknown: (problems.WALLET_NOT_FOUND, "There is no such wallet."),
    TransactionUnknown: (problems.TRANSACTION_NOT_FOUND, "There is no such transaction."),
    SubjectParked: (problems.WALLET_PARKED, "A wallet of this answer is parked; operators know."),
}
NOT_THEIRS: Final = "For a caller that acts for some owners alone there is no wallet of another owner."
NONE_OF_OTHERS: Final = "A caller that acts for some owners alone finds no entry of another owner."

wallet_id_of: Final = path_id(problems.WALLET_NOT_FOUND, "There is no such wallet.")
transaction_id_of: Final = path_id(problems.TRANSACTION_NOT_FOUND, "There is no such transaction.")

OwnerId = Annotated[str, Path(min_length=1, max_length=OWNER_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]
OwnerQuery = Annotated[
    str, Query(min_length=1, max_length=OWNER_CHARACTERS_MAX, description="The owner, whatever its id holds.")
]
OwnerFilter = Annotated[
    str | None, Query(min_length=1, max_length=OWNER_CHARACTERS_MAX, description="Of this owner alone.")
]
CurrencyFilter = Annotated[str | None, Query(min_length=1, max_length=16, description="Of this currency alone.")]
Order = Annotated[Literal["newest", "oldest"], Query(description="What comes first.")]
ZoneName = Annotated[str, Query(description="The IANA time zone of the local days.", max_length=64)]
From = Annotated[
    str | None, Query(alias="from", description="From this instant on, RFC 3339 with its offset; it is included.")
]
To = Annotated[
    str | None, Query(alias="to", description="Up to this instant, RFC 3339 with its offset; it is not included.")
]


def instant(text: str | None, name: str) -> datetime | None:
    """Return the instant in the query's parameter *name*; raise Problem `invalid_query`."""
    return None if text is None else instant_of(text, name, invalid_query)


def time_range(begin: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the instants of `from` and `to`; raise Problem `invalid_query` where `to` is not behind `from`."""
    found = instant(begin, "from"), instant(end, "to")
    if found[0] is not None and found[1] is not None and found[0] >= found[1]:
        raise invalid_query(FieldError("/to", "invalid_value", "`to` is not behind `from`."))
    return found


def zone_of(name: str) -> str:
    """Return the time zone *name*; raise Problem `invalid_query` where there is none."""
    if name not in zone_names():
        raise invalid_query(FieldError("/time_zone", "unknown_time_zone", "There is no such IANA time zone."))
    return name


def day_of(text: str) -> date:
    """Return the date in `date`; raise Problem `invalid_query`."""
    found = known_day(text)
    if found is None:
        raise invalid_query(FieldError("/date", "invalid_value", "A date is YYYY-MM-DD."))
    return found


def known_day(text: str) -> date | None:
    """Return the date that *text* is; None where it is none, or the last that there is."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return None if text != found.isoformat() or found == date.max else found


def currency_of(text: str | None) -> str | None:
    """Return the currency in `currency`; raise Problem `invalid_query` where it is not known."""
    if text is not None:
        try:
            exponent_of(text)
        except MoneyError as error:
            raise invalid_query(FieldError("/currency", error.code, error.detail)) from None
    return text


def amount_of(text: str | None, name: str, currency: str | None) -> int | None:
    """Return the bound of an amount in minor units; raise Problem `invalid_query` where it stands alone or is none."""
    if text is None:
        return None
    if currency is None:
        raise invalid_query(FieldError("/currency", "missing", "A bound of the amount stands beside one currency."))
    try:
        return parse_limit_minor(text, currency)
    except MoneyError as error:
        raise invalid_query(FieldError(f"/{name}", error.code, error.detail)) from None


def values_of(text: str | None, name: str, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the values of a filter, separated by commas; raise Problem `invalid_query` for one that is not *known*."""
    if text is None:
        return ()
    values = tuple(dict.fromkeys(text.split(",")))
    if len(values) > VALUES_MAX:
        raise invalid_query(FieldError(f"/{name}", "too_many", f"A filter has at most {VALUES_MAX} values."))
    if known is not None and not set(values) <= set(known):
        raise invalid_query(FieldError(f"/{name}", "invalid_value", f"It is one of {', '.join(known)}."))
    return values
