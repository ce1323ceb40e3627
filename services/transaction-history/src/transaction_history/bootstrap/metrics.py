"""The metrics of the history's processes, and what may stand in their labels."""

from typing import Final

from contracts.money import EXPONENTS
from servicekit.service.metrics import API, CONSUMER, MAINTENANCE, RELAY, Bounded, ServiceMetrics
from transaction_history.bootstrap.parts import SERVICE
from transaction_history.dashboard.ledger_figures import TYPES_MAX, LedgerFigures
from transaction_history.domain.closing import FileFormat
from transaction_history.domain.jobs import Kind, Reason
from transaction_history.domain.targets import Why
from transaction_history.indexing.projection import INDEX
from transaction_history.jobs.metrics import OUTCOMES, WAITING, JobMetrics
from transaction_history.maintenance.drift import DriftMetrics
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads.targets import reads_counter
from transaction_history.statements.metrics import OUTCOMES as FILES
from transaction_history.statements.metrics import StatementMetrics

_KIND: Final = {"kind": tuple(Kind)}
_DRIFT: Final = {"projection": (SCHEMA, INDEX)}
_CURRENCY: Final = {"currency": Bounded("the currencies of `GET /v1/currencies`", len(EXPONENTS))}

METRICS: Final = ServiceMetrics(
    service=SERVICE,
    processes={
        "api": (*API, reads_counter),
        "projector": CONSUMER,
        "indexer": (*CONSUMER, *MAINTENANCE),
        "worker": (*RELAY, *MAINTENANCE, JobMetrics, StatementMetrics, DriftMetrics, LedgerFigures, reads_counter),
    },
    labels={
        "ledger_wallets": {**_CURRENCY, "status": ("open", "closed")},
        "ledger_customer_funds": _CURRENCY,
        "ledger_volume_total": {"type": Bounded("the types that occur most, and `other`", TYPES_MAX + 1), **_CURRENCY},
        "history_job_attempts_total": {**_KIND, "outcome": OUTCOMES},
        "history_job_attempts_failed_total": {**_KIND, "reason": tuple(Reason)},
        "history_job_rows_total": _KIND,
        "history_jobs": {"status": WAITING},
        "history_drift_events_total": _DRIFT,
        "history_drift_skipped_total": _DRIFT,
        "history_drift_differences_total": {**_DRIFT, "table": Bounded("the tables of both projections", 24)},
        "history_drift_round_ended_timestamp_seconds": _DRIFT,
        "history_reads_total": {"target": Bounded("the primary and its replicas", 5), "why": tuple(Why)},
        "history_statement_files_total": {"format": tuple(FileFormat), "outcome": FILES},
    },
)
