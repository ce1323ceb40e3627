"""Recording rules: what dashboards and alerts read, computed once."""

from typing import Final

from observability import figures
from observability.declaring import Recording, RuleGroup
from observability.slo import BUDGET_WINDOW, OBJECTIVES

MONEY_COMMANDS: Final = (
    *("deposit", "withdrawal", "transfer", "payment", "conversion", "hold", "increase_hold", "capture"),
    *("refund", "reversal", "chargeback", "batch"),
)
"""Types of `wallet_commands_total` that move money or reserve it; `batch` is an atomic one, counted once."""

_ROUTE: Final = "service, method, route"
_PRODUCT: Final = 'route=~"/v1/.+"'
_RATE_1M: Final = f"sum by ({_ROUTE}) (rate(http_request_duration_seconds_count{{{_PRODUCT}}}[1m]))"
_RATE_5M: Final = f"sum by ({_ROUTE}) (rate(http_request_duration_seconds_count{{{_PRODUCT}}}[5m]))"
_ERRORS_5M: Final = (
    f'sum by ({_ROUTE}) (rate(http_request_duration_seconds_count{{{_PRODUCT},status=~"5.."}}[5m])) or 0 * {_RATE_5M}'
)
_P95: Final = (
    f"histogram_quantile(0.95, sum by ({_ROUTE}, le) (rate(http_request_duration_seconds_bucket{{{_PRODUCT}}}[5m])))"
)

FIGURES: Final = RuleGroup(
    name="figures",
    rules=(
        Recording(record="route:http_requests:rate1m", expr=_RATE_1M),
        Recording(record="route:http_errors:ratio_rate5m", expr=f"({_ERRORS_5M}) / ({_RATE_5M} > 0)"),
        Recording(record="route:http_request_duration_seconds:p95_5m", expr=_P95),
        Recording(
            record="type:transactions:rate1m",
            expr=f'sum by (type) (rate(wallet_commands_total{{outcome="accepted",type=~"{"|".join(MONEY_COMMANDS)}"}}'
            "[1m]))",
        ),
        Recording(
            # Each worker of the history shows the same figures.
            record="currency:wallet_balance:avg",
            expr="max by (currency) (ledger_customer_funds)"
            " / (sum by (currency) (max by (currency, status) (ledger_wallets)) > 0)",
        ),
        Recording(record="projection:lag_seconds:max", expr="max by (service, projection) (consumer_lag_seconds)"),
    ),
)


def _ratio(window: str, *, rate: str) -> Recording:
    """Return the share of errors over *window*: weighted by traffic, since it is a quotient of sums."""
    bad, requests = (f"sum_over_time(service:{each}:{rate}[{window}])" for each in ("slo_bad", "slo_requests"))
    return Recording(record=f"service:slo_errors:ratio_rate{window}", expr=f"{bad} / ({requests} > 0)")


OBJECTIVE_RATES: Final = RuleGroup(
    name="objectives",
    rules=(
        *(
            Recording(record=f"service:{record}:rate5m", expr=expr, labels={"slo": objective.name})
            for objective in OBJECTIVES
            for record, expr in (("slo_requests", objective.requests), ("slo_bad", objective.bad))
        ),
        Recording(
            record="service:slo_errors:ratio_rate5m", expr="service:slo_bad:rate5m / (service:slo_requests:rate5m > 0)"
        ),
        _ratio("30m", rate="rate5m"),
        _ratio("1h", rate="rate5m"),
    ),
)

# Long windows are sums over what is recorded here every two minutes: 30 days are 21,600 samples of each objective,
# where the requests' own series would be millions. Five minutes apart, a sample would be stale before the next.
BUDGETS: Final = RuleGroup(
    name="budgets",
    interval="2m",
    rules=(
        *(
            Recording(record=f"service:{record}:rate1h", expr=f"avg_over_time(service:{record}:rate5m[1h])")
            for record in ("slo_requests", "slo_bad")
        ),
        _ratio("6h", rate="rate1h"),
        _ratio("3d", rate="rate1h"),
        *(
            Recording(
                record="service:slo_budget_left:ratio",
                expr=f'1 - sum_over_time(service:slo_bad:rate1h{{slo="{objective.name}"}}[{BUDGET_WINDOW}])'
                f' / (sum_over_time(service:slo_requests:rate1h{{slo="{objective.name}"}}[{BUDGET_WINDOW}]) > 0)'
                f" / {objective.budget}",
                labels={"slo": objective.name},
            )
            for objective in OBJECTIVES
        ),
    ),
)

RECORDING_GROUPS: Final = {
    "figures": (FIGURES,),
    "objectives": (OBJECTIVE_RATES, BUDGETS),
    "dashboards": (figures.DASHBOARDS,),
}
