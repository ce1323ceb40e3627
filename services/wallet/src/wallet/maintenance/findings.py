"""What continuous verification tells of what it found: metrics by invariant, and a log line for each breach."""

from typing import Final

import structlog

from servicekit.maintenance import InvariantMetrics
from wallet.maintenance.verify import Report

NAMES: Final = {
    "I1": "transactions_sum_to_zero",
    "I2": "balances_equal_journal",
    "I3": "floors_are_kept",
    "I4": "sequences_are_dense",
}
"""What the invariants of docs/invariants.md are called in metrics and logs."""
_NAMED_MAX: Final = 20
"""Of one look so many breaches are named in the log; all are counted."""

_log = structlog.get_logger(__name__)


class Findings:
    """Tells of every look at the ledger."""

    def __init__(self, metrics: InvariantMetrics) -> None:
        self._metrics = metrics
        self._rounds: int | None = None

    def tell(self, report: Report, *, rows: int, of: tuple[str, ...] = tuple(NAMES)) -> None:
        """Tell what a look at *rows*, for breaches of the invariants *of*, left in *report*, and empty that."""
        found, total = report.take()
        for finding in found[:_NAMED_MAX]:
            _log.error(
                "ledger.invariant_broken",
                invariant=NAMES[finding.invariant],
                place=finding.place,
                shard=finding.shard,
                seq=finding.seq,
                reason=finding.detail,
            )
        if total > _NAMED_MAX:
            _log.error("ledger.more_broken", breaches=total)
        for invariant in of:
            breaches = sum(finding.invariant == invariant for finding in found)
            self._metrics.checked(NAMES[invariant], rows=rows, violations=breaches)

    def rounds_ended(self, rounds: int) -> None:
        """Tell how many rounds over all of the ledger have ended, by whichever process."""
        if self._rounds is not None and rounds > self._rounds:
            for name in NAMES.values():
                self._metrics.round_ended(name)
        self._rounds = rounds
