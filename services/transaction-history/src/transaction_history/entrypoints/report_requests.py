"""What clients ask to be reported, and what is stored of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.times import InstantError, parse_instant
from contracts.zones import UTC_ZONE, zone_names
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from transaction_history.domain.buckets import day_end
from transaction_history.domain.exports import Format
from transaction_history.domain.reports import Report, ReportRequest
from transaction_history.entrypoints.parameters import known_day

_DATE_CHARACTERS: Final = 10
_INSTANT: Final[dict[str, Any]] = {"format": "date-time"}
TAKES: Final[Mapping[Report, Sequence[str]]] = {
    Report.LEDGER_TOTALS: ("from", "to"),
    Report.TRIAL_BALANCE: ("at",),
    Report.BALANCES: ("date",),
    Report.FEES: ("from", "to"),
    Report.DORMANT_WALLETS: ("idle_since",),
}
"""The times that each report is asked for by: all of them, and no other."""

Instant = Annotated[str | None, Field(max_length=64, json_schema_extra=_INSTANT)]


class CreateReport(BaseModel):
    """A report as a file. Times are those that the report takes, in the past."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)

    report: Annotated[str, Field(max_length=64, json_schema_extra={"enum": [each.value for each in Report]})]
    since: Annotated[Instant, Field(alias="from", description="Of `ledger_totals` (a UTC midnight) and `fees`.")] = None
    until: Annotated[Instant, Field(alias="to", description="Not included; of the same reports.")] = None
    at: Annotated[Instant, Field(description="Of `trial_balance`: what occurred before it.")] = None
    day: Annotated[
        str | None,
        Field(alias="date", max_length=_DATE_CHARACTERS, description="Of `balances`: at the end of this local day."),
    ] = None
    idle_since: Annotated[Instant, Field(description="Of `dormant_wallets`.")] = None
    format: Literal["csv", "xlsx", "jsonl"]
    time_zone: Annotated[
        str, Field(max_length=64, description="The IANA zone of the local day, and that instants are told in.")
    ] = UTC_ZONE
    gzip: Annotated[bool, Field(description="Whether the file is packed; a workbook is packed in itself.")] = False


def report_from(body: CreateReport, now: datetime) -> ReportRequest:
    """Return what *body* asks for at *now*; raises Problem `invalid_request`."""
    try:
        report = Report(body.report)
    except ValueError:
        raise invalid_request(FieldError("/report", "invalid_value", "There is no such report.")) from None
    reading = _Reading(body)
    times = reading.times(report, now)
    if body.gzip and body.format == "xlsx":
        reading.wrong("gzip", "contradiction", "A workbook is packed in itself.")
    if reading.errors:
        raise invalid_request(*reading.errors)
    return ReportRequest(
        report=report,
        since=times.get("from", times.get("idle_since")),
        until=times.get("to", times.get("at", times.get("date"))),
        format=Format(body.format),
        time_zone=body.time_zone,
        gzip=body.gzip,
    )


class _Reading:
    """Reads a body, and gathers what is wrong with it."""

    def __init__(self, body: CreateReport) -> None:
        self.errors: list[FieldError] = []
        self._zone = body.time_zone
        self._given = {
            "from": body.since,
            "to": body.until,
            "at": body.at,
            "date": body.day,
            "idle_since": body.idle_since,
        }

    def wrong(self, name: str, code: str, detail: str) -> None:
        """Remember what is wrong."""
        self.errors.append(FieldError(f"/{name}", code, detail))

    def times(self, report: Report, now: datetime) -> Mapping[str, datetime]:
        """Return the times of *report* by name; of one that is wrong there is none."""
        if self._zone not in zone_names():
            self.wrong("time_zone", "unknown_time_zone", "There is no such time zone.")
        found = {}
        for name, text in self._given.items():
            if (text is None) == (name in TAKES[report]):
                known = ", ".join(TAKES[report])
                self.wrong(name, "missing" if text is None else "contradiction", f"The report takes {known}.")
            elif text is not None and (at := self._time(name, text)) is not None:
                found[name] = at
        for name, at in found.items():
            if at > now:
                self.wrong(name, "invalid_value", "What is reported lies in the past.")
        if report is Report.LEDGER_TOTALS:
            self._want_midnights(found)
        if "from" in found and "to" in found and found["from"] >= found["to"]:
            self.wrong("to", "contradiction", "`to` is not behind `from`.")
        return found

    def _time(self, name: str, text: str) -> datetime | None:
        if name == "date":
            return self._day_end(text)
        try:
            return parse_instant(text)
        except InstantError as error:
            self.wrong(name, "invalid_value", str(error))
            return None

    def _day_end(self, text: str) -> datetime | None:
        day = known_day(text)
        if day is None:
            self.wrong("date", "invalid_value", "A date is YYYY-MM-DD.")
            return None
        return day_end(self._zone, day) if self._zone in zone_names() else None

    def _want_midnights(self, found: Mapping[str, datetime]) -> None:
        for name, at in found.items():
            if at.time() != time():
                self.wrong(name, "invalid_value", "Totals are of whole days of UTC.")
