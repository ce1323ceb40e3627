"""What clients ask to be exported, and what is stored of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.ids import parse_id
from contracts.money import MoneyError, exponent_of, parse_limit_minor
from contracts.times import InstantError, parse_instant
from contracts.zones import UTC_ZONE, zone_names
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from transaction_history.domain.exports import Direction, ExportFilters, ExportRequest, Format
from transaction_history.domain.links import EXPIRES_IN_S_MAX
from transaction_history.exports.dataset import Dataset
from transaction_history.exports.datasets import DATASETS

VALUES_MAX: Final = 100
TEXT_MAX: Final = 100
COLUMNS_MAX: Final = 50
_AMOUNT_MAX: Final = 32
_ID: Final[dict[str, Any]] = {"items": {"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36}}
_INSTANT: Final[dict[str, Any]] = {"format": "date-time"}

Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
Texts = Annotated[list[Text], Field(max_length=VALUES_MAX)]
Ids = Annotated[list[Text], Field(max_length=VALUES_MAX, json_schema_extra=_ID)]
Amount = Annotated[
    str | None,
    Field(max_length=_AMOUNT_MAX, description="A decimal without a sign, of the one currency that is named."),
]
Instant = Annotated[str | None, Field(max_length=64, json_schema_extra=_INSTANT)]


class ExportFiltersBody(BaseModel):
    """Which rows: any of the values of each list, and all that is given. `from` is included, `to` is not."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)

    owner_id: Texts = Field(default_factory=list)
    wallet_id: Ids = Field(default_factory=list)
    type: Texts = Field(default_factory=list)
    transaction_type: Texts = Field(default_factory=list)
    currency: Texts = Field(default_factory=list)
    status: Texts = Field(default_factory=list)
    counterparty_wallet_id: Ids = Field(default_factory=list)
    direction: Literal["in", "out"] | None = None
    amount_min: Amount = None
    amount_max: Amount = None
    since: Instant = Field(default=None, alias="from")
    until: Instant = Field(default=None, alias="to")


class CreateExport(BaseModel):
    """A file of the rows of a dataset. Without *columns* it has all of them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: Annotated[Text, Field(json_schema_extra={"enum": sorted(DATASETS)})]
    filters: ExportFiltersBody = Field(default_factory=ExportFiltersBody)
    columns: Annotated[list[Text], Field(max_length=COLUMNS_MAX)] = Field(default_factory=list)
    format: Literal["csv", "xlsx", "jsonl"]
    time_zone: Annotated[Text, Field(description="The IANA zone that instants are told in.")] = UTC_ZONE
    gzip: Annotated[bool, Field(description="Whether the file is packed; a workbook is packed in itself.")] = False


class CreateLink(BaseModel):
    """For how long a link leads to the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_in_s: Annotated[int, Field(ge=1, le=EXPIRES_IN_S_MAX)]


def request_from(body: CreateExport) -> ExportRequest:
    """Return what *body* asks for; raises Problem `invalid_request`."""
    dataset = DATASETS.get(body.dataset)
    if dataset is None:
        raise invalid_request(FieldError("/dataset", "invalid_value", "There is no such dataset."))
    parsing = _Parsing()
    filters = parsing.filters(dataset, body.filters)
    columns = parsing.columns(dataset, body.columns)
    if body.time_zone not in zone_names():
        parsing.wrong("/time_zone", "unknown_time_zone", "There is no such time zone.")
    if body.gzip and body.format == "xlsx":
        parsing.wrong("/gzip", "contradiction", "A workbook is packed in itself.")
    if parsing.errors:
        raise invalid_request(*parsing.errors)
    return ExportRequest(
        dataset=dataset.name,
        filters=filters,
        columns=columns,
        format=Format(body.format),
        time_zone=body.time_zone,
        gzip=body.gzip,
    )


class _Parsing:
    """Reads a body, and gathers what is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def wrong(self, pointer: str, code: str, detail: str) -> None:
        """Remember what is wrong."""
        self.errors.append(FieldError(pointer, code, detail))

    def columns(self, dataset: Dataset, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns of the file in their order."""
        for place, name in enumerate(names):
            if dataset.column(name) is None:
                self.wrong(f"/columns/{place}", "unknown_column", "The dataset has no such column.")
            elif name in names[:place]:
                self.wrong(f"/columns/{place}", "contradiction", "The column stands there twice.")
        return tuple(names) or tuple(column.name for column in dataset.columns)

    def filters(self, dataset: Dataset, body: ExportFiltersBody) -> ExportFilters:
        """Return the filters."""
        for name in sorted(body.model_fields_set):
            stored = f"{name}_minor" if name.startswith("amount_") else name
            if name != "owner_id" and stored not in dataset.filters:
                spelt = ExportFiltersBody.model_fields[name].alias or name
                self.wrong(f"/filters/{spelt}", "unknown_filter", "The dataset has no such filter.")
        for place, currency in enumerate(body.currency):
            self._currency(place, currency)
        for place, status in enumerate(body.status):
            if dataset.statuses and status not in dataset.statuses:
                known = ", ".join(dataset.statuses)
                self.wrong(f"/filters/status/{place}", "invalid_value", f"It is one of {known}.")
        since, until = self._instant("from", body.since), self._instant("to", body.until)
        if since is not None and until is not None and since >= until:
            self.wrong("/filters/to", "contradiction", "The period ends before it begins.")
        least, greatest = self._amounts(body)
        return ExportFilters(
            owner_id=tuple(body.owner_id),
            type=tuple(body.type),
            transaction_type=tuple(body.transaction_type),
            currency=tuple(body.currency),
            status=tuple(body.status),
            wallet_id=self._ids("wallet_id", body.wallet_id),
            counterparty_wallet_id=self._ids("counterparty_wallet_id", body.counterparty_wallet_id),
            direction=None if body.direction is None else Direction(body.direction),
            amount_min_minor=least,
            amount_max_minor=greatest,
            since=since,
            until=until,
        )

    def _ids(self, name: str, texts: Sequence[str]) -> tuple[str, ...]:
        for place, text in enumerate(texts):
            if parse_id(text) is None:
                self.wrong(f"/filters/{name}/{place}", "invalid_id", "The value is not a wallet's id.")
        return tuple(texts)

    def _currency(self, place: int, currency: str) -> None:
        try:
            exponent_of(currency)
        except MoneyError as error:
            self.wrong(f"/filters/currency/{place}", error.code, error.detail)

    def _instant(self, name: str, text: str | None) -> Any:
        try:
            return None if text is None else parse_instant(text)
        except InstantError as error:
            self.wrong(f"/filters/{name}", "invalid_value", str(error))
            return None

    def _amounts(self, body: ExportFiltersBody) -> tuple[int | None, int | None]:
        """Return the least and the greatest amount in minor units."""
        least = self._amount("amount_min", body.amount_min, body.currency)
        greatest = self._amount("amount_max", body.amount_max, body.currency)
        if least is not None and greatest is not None and least > greatest:
            self.wrong("/filters/amount_max", "contradiction", "The greatest amount is below the least.")
        return least, greatest

    def _amount(self, name: str, text: str | None, currency: Sequence[str]) -> int | None:
        if text is None:
            return None
        if len(currency) != 1:
            self.wrong(f"/filters/{name}", "contradiction", "An amount is of one currency: name it.")
            return None
        try:
            return parse_limit_minor(text, currency[0])
        except MoneyError as error:
            self.wrong(f"/filters/{name}", error.code, error.detail)
            return None
