"""Alerts on what clients notice: error budgets and the probe."""

from typing import Final

from observability.declaring import Alert, Threshold, page, ticket
from observability.slo import BURN_RATES, OBJECTIVES, REQUESTS_PER_S_MIN, BurnRate, Kind, Objective


def _burns(objective: Objective, burn: BurnRate) -> str:
    """Return the expression that *objective* burns its budget so fast, where there are requests enough to tell."""
    slo = f'{{slo="{objective.name}"}}'
    long_rate = (
        f"service:slo_requests:rate1h{slo}"
        if burn.long == "1h"
        else f"avg_over_time(service:slo_requests:rate1h{slo}[{burn.long}])"
    )
    return (
        f"(service:slo_errors:ratio_rate{burn.short}{slo} > {burn.factor} * {objective.budget}"
        f" and service:slo_errors:ratio_rate{burn.long}{slo} > {burn.factor} * {objective.budget}"
        f" and {long_rate} >= {REQUESTS_PER_S_MIN})"
    )


def _thresholds(kind: Kind) -> tuple[Threshold, ...]:
    objectives = [objective for objective in OBJECTIVES if objective.kind is kind]
    return tuple(
        (page if burn.wakes else ticket)(
            "\nor ".join(_burns(objective, burn) for objective in objectives), burn.for_, window=burn.long
        )
        for burn in BURN_RATES
    )


ALERTS: Final = (
    Alert(
        name="ErrorBudgetBurn",
        thresholds=_thresholds(Kind.ERRORS),
        summary="{{ $labels.service }}: {{ $value | humanizePercentage }} of commands fail",
        description="Of the commands of {{ $labels.service }}, {{ $value | humanizePercentage }} are answered with a "
        "5xx: the error budget of {{ $labels.slo }} will not last 30 days.",
    ),
    Alert(
        name="LatencyBudgetBurn",
        thresholds=_thresholds(Kind.LATENCY),
        summary="{{ $labels.service }}: {{ $value | humanizePercentage }} are too slow ({{ $labels.slo }})",
        description="{{ $value | humanizePercentage }} of what {{ $labels.slo }} counts at {{ $labels.service }} takes "
        "longer than promised: its budget will not last 30 days.",
    ),
    Alert(
        name="ProbeFailing",
        thresholds=(
            page(
                "max by (step) (probe_success) == 0\n"
                'or label_replace(time() - max(probe_last_run_timestamp_seconds) > 60, "step", "run", "", "")\n'
                'or label_replace(max(up{service="probe"}) == 0, "step", "run", "", "")',
                "1m",
            ),
        ),
        summary="The probe's step {{ $labels.step }} fails",
        description="For a minute the canary has not succeeded in {{ $labels.step }} through the gateway, as a client "
        "would; `run` means that the probe itself has not come round for a minute.",
    ),
)
