"""Every alert, by what it is about."""

from typing import Final

from observability.alerts import budgets, engines, following, ledger, pipeline, processes
from observability.declaring import Alert

ALERT_GROUPS: Final[dict[str, tuple[Alert, ...]]] = {
    "budgets": budgets.ALERTS,
    "targets": processes.TARGETS,
    "processes": processes.ALERTS,
    "ledger": ledger.ALERTS,
    "pipeline": pipeline.ALERTS,
    "following": following.ALERTS,
    "engines": engines.ALERTS,
}
ALERTS: Final = tuple(alert for alerts in ALERT_GROUPS.values() for alert in alerts)
