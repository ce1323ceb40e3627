"""What a consumer process consumes: its own projection and, beside it, identities."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from servicekit.access.projection import make_access_projection
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner
from servicekit.consumer.settings import ConsumerSettings
from servicekit.health import Check
from servicekit.lifecycle import Shutdown, run_together
from servicekit.postgres import Pool
from servicekit.service import ConsumerProcess, Service
from servicekit.service.instances import instance_jitter
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry

_POLL_S_MIN: Final = 0.025
"""A revocation does not wait for what shares a poll's cost."""
_SESSION_MS: Final = 6_000
_HEARTBEAT_MS: Final = 1_500
"""A broker that comes back waits for a member that is gone before it gives its partitions to another: the least that
brokers take by default, for a revocation waits with it."""
_RECORDS_MAX: Final = 500
_BYTES_MAX: Final = 4 * 1024 * 1024


class Consuming:
    """Feeds a process's *own* projection and that of identities, *access*, until either ends."""

    def __init__(self, own: ConsumerRunner, access: ConsumerRunner) -> None:
        self._own = own
        self._access = access

    async def run(self, shutdown: Shutdown) -> None:
        """Consume until the end is requested; raises what ends either of the two, and ends the other."""
        await run_together(shutdown, self._own.run, self._access.run)

    async def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, what either has passed over, parked or stopped."""
        access = await self._access.check()
        return {**await self._own.check(), **{f"access_{name}": check for name, check in access.items()}}


def make_consuming(
    settings: ServiceSettings,
    *,
    service: Service,
    process: ConsumerProcess,
    projection: Projection,
    telemetry: Telemetry,
    pool: Pool,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> Consuming:
    """Return what feeds *projection*, and what *service* knows of identities, through *pool*."""
    families = ConsumerFamilies(telemetry.registry)
    access = replace(
        process.consumer,
        client_id=f"{process.consumer.client_id}-access",
        watermarks_topic=None,
        records_per_poll_max=_RECORDS_MAX,
        bytes_per_poll_max=_BYTES_MAX,
        poll_s_min=_POLL_S_MIN,
        session_timeout_ms=_SESSION_MS,
        heartbeat_ms=_HEARTBEAT_MS,
    )
    known = make_access_projection(service.slug, settings.access_topic)
    return Consuming(
        make_runner(
            process.consumer,
            projection=projection,
            telemetry=telemetry,
            families=families,
            pool=pool,
            runner_class=runner_class,
        ),
        make_runner(access, projection=known, telemetry=telemetry, families=families, pool=pool),
    )


def make_runner(
    settings: ConsumerSettings,
    *,
    projection: Projection,
    telemetry: Telemetry,
    families: ConsumerFamilies,
    pool: Pool,
    runner_class: type[ConsumerRunner] = ConsumerRunner,
) -> ConsumerRunner:
    """Return what feeds *projection* through *pool*."""
    return runner_class(
        settings,
        projection=projection,
        pool=pool,
        metrics=ConsumerMetrics(families, projection.name),
        tracing=telemetry.tracing,
        jitter=instance_jitter(),
    )
