"""Every service with an API."""

from typing import Final

from tests.openapi import access_target, fraud_target, notifications_target, transaction_history_target, wallet_target

TARGETS: Final = (
    wallet_target.TARGET,
    transaction_history_target.TARGET,
    notifications_target.TARGET,
    fraud_target.TARGET,
    access_target.TARGET,
)
