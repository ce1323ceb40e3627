"""Alerts on what follows from events: webhooks and decisions about fraud."""

from typing import Final

from observability.declaring import Alert, ticket

ALERTS: Final = (
    Alert(
        name="WebhooksLate",
        thresholds=(ticket("max by (service) (webhook_deliveries_due_oldest_seconds) > 60", "2m"),),
        summary="The oldest webhook that is due waits for {{ $value | humanizeDuration }}",
        description="A delivery to an active endpoint has been due for {{ $value | humanizeDuration }} without an "
        "attempt: workers have no slot for it, or none runs.",
    ),
    Alert(
        name="WebhooksExhausted",
        thresholds=(ticket("sum by (service) (increase(webhook_deliveries_exhausted_total[1h])) > 0"),),
        summary="{{ $value | humanize }} webhooks were given up within an hour",
        description="{{ $value | humanize }} deliveries have failed at their last attempt within an hour: their "
        "subscribers miss these events until they are sent again.",
    ),
    Alert(
        name="EndpointDisabled",
        thresholds=(
            ticket(
                'max by (service) (webhook_endpoints{status="disabled"})'
                ' - min by (service) (min_over_time(webhook_endpoints{status="disabled"}[1h])) > 0'
            ),
        ),
        summary="{{ $value }} webhook endpoints were disabled within an hour",
        description="{{ $value }} endpoints more than an hour ago are disabled, because they answered 410 or failed "
        "for days: events no longer gather for them.",
    ),
    Alert(
        name="FraudDecisionsLate",
        thresholds=(
            ticket(
                "histogram_quantile(0.99, sum by (service, le)"
                ' (rate(fraud_decision_seconds_bucket{mode="live"}[5m]))) > 5',
                "5m",
            ),
        ),
        summary="Decisions about fraud come {{ $value | humanizeDuration }} after the debit",
        description="One in a hundred decisions is made {{ $value | humanizeDuration }} or more after the debit that "
        "triggered it: so long a wallet that is to be frozen goes on paying.",
    ),
    Alert(
        name="FraudRulesRefused",
        thresholds=(ticket("sum by (service) (increase(fraud_rules_reload_failures_total[1h])) > 0"),),
        summary="A file of fraud rules was refused",
        description="{{ $labels.service }} has refused a file of rules within an hour, and goes on with those that "
        "were in force before.",
    ),
)
