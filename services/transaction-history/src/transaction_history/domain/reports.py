"""What a report is asked for, as it is stored with its job."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from transaction_history.domain.exports import FileForm


class Report(StrEnum):
    """What is reported of a tenant."""

    LEDGER_TOTALS = "ledger_totals"
    """What transactions came to, by UTC day, currency and type."""
    TRIAL_BALANCE = "trial_balance"
    """Wallets and system accounts at an instant: in each currency they sum to zero."""
    BALANCES = "balances"
    """Every wallet at the end of a local day."""
    FEES = "fees"
    """What each wallet was charged, less what it was given back."""
    DORMANT_WALLETS = "dormant_wallets"
    """Open wallets that nothing has moved since an instant."""


class ReportRequest(FileForm, frozen=True, kw_only=True):
    """A report on *since* to *until*, of which the latter is not included; None is without that end."""

    report: Report
    since: datetime | None
    until: datetime | None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ReportRequest).decode


def report_text(request: ReportRequest) -> str:
    """Return *request* as it is stored."""
    return _encode(request).decode()


def report_of(text: str) -> ReportRequest:
    """Return the report that *text* is."""
    return _decode(text)
