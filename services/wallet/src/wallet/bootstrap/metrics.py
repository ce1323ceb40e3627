"""The metrics of the wallet's processes, and what may stand in their labels."""

from typing import Final

from servicekit.failures import Failure
from servicekit.maintenance import InvariantMetrics
from servicekit.outbound.fetching import FetchFault
from servicekit.service.metrics import API, CONSUMER, MAINTENANCE, RELAY, ServiceMetrics
from wallet.application.metrics import (
    OUTCOMES,
    REFUSALS,
    BatchOutcome,
    BatchPath,
    BatchWhy,
    CommitterMetrics,
    FoldMetrics,
    FraudDecisionMetrics,
    JournalMetrics,
    RateMetrics,
    SweepMetrics,
)
from wallet.bootstrap import SERVICE
from wallet.bootstrap.catalog import CATALOG
from wallet.bootstrap.jobs import PARTITION_STATES
from wallet.fraud_restrictions.log_postgres import Disposition
from wallet.rates.documents import Refusal
from wallet.rates.refreshing import FETCHED
from wallet.rates.sources import CANNOT_READ
from wallet.sweeping.sweeper import EXPIRES

METRICS: Final = ServiceMetrics(
    service=SERVICE,
    processes={
        "api": (*API, *MAINTENANCE, CommitterMetrics, SweepMetrics),
        "relay": RELAY,
        "maintenance": (*MAINTENANCE, InvariantMetrics, FoldMetrics, JournalMetrics, RateMetrics),
        "decisions": (*CONSUMER, *MAINTENANCE, CommitterMetrics, FraudDecisionMetrics),
    },
    labels={
        "wallet_commands_total": {
            "type": ("batch", *(command.kind for command in CATALOG.answers)),
            "outcome": OUTCOMES,
        },
        "wallet_batches_total": {"path": tuple(BatchPath), "why": tuple(BatchWhy)},
        "wallet_batch_outcomes_total": {"outcome": tuple(BatchOutcome)},
        "wallet_refused_total": {"reason": REFUSALS},
        "wallet_batch_failures_total": {"failure": tuple(failure.name.lower() for failure in Failure)},
        "wallet_fraud_decisions_total": {"disposition": tuple(Disposition)},
        "wallet_due_lag_seconds": {"kind": tuple(kind.name for kind, _ in EXPIRES)},
        "wallet_journal_partitions": {"state": PARTITION_STATES},
        "wallet_rates_fetches_total": {"outcome": (FETCHED, CANNOT_READ, *FetchFault, *Refusal)},
    },
)
