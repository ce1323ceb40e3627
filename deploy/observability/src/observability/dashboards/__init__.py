"""Every dashboard."""

from typing import Final

from observability.dashboards.database import DATABASE
from observability.dashboards.fraud import FRAUD
from observability.dashboards.gateway_and_release import GATEWAY_AND_RELEASE
from observability.dashboards.invariants import INVARIANTS
from observability.dashboards.kafka import KAFKA
from observability.dashboards.notifications import NOTIFICATIONS
from observability.dashboards.overview import OVERVIEW
from observability.dashboards.pipeline import PIPELINE
from observability.dashboards.process import PROCESS
from observability.dashboards.wallet import WALLET
from observability.panels import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    OVERVIEW,
    WALLET,
    PIPELINE,
    NOTIFICATIONS,
    FRAUD,
    INVARIANTS,
    DATABASE,
    KAFKA,
    GATEWAY_AND_RELEASE,
    PROCESS,
)
