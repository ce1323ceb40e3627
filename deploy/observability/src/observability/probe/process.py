"""The probe as a process: rounds at an interval, their figures at `/metrics`, what fails in the log."""

from collections.abc import Mapping
from typing import Final

import httpx2
from prometheus_client import CollectorRegistry, Gauge

from observability.probe.canary import Endpoint
from observability.probe.inbox import Inbox
from observability.probe.platform import Addresses, Platform
from observability.probe.receiving import with_webhook
from observability.probe.round import STEPS, Outcome, Prober
from observability.probe.settings import ProbeSettings
from servicekit.clock import monotonic_s, unix_s
from servicekit.health import Check
from servicekit.http.app import create_process_app
from servicekit.lifecycle import Shutdown, run_together
from servicekit.serving import serve_http
from servicekit.telemetry import Telemetry, get_logger, open_telemetry

CONNECTIONS: Final = httpx2.Limits(max_connections=4, max_keepalive_connections=4)


class ProbeMetrics:
    """What the last round came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._success = Gauge(
            "probe_success", "Whether the step succeeded in the last round, 0 or 1.", ["step"], registry=registry
        )
        self._seconds = Gauge(
            "probe_seconds", "How long the step took when it last succeeded.", ["step"], registry=registry
        )
        self._last_run = Gauge(
            "probe_last_run_timestamp_seconds", "When the last round ended, of Unix time.", registry=registry
        )

    def tell(self, outcome: Outcome, *, ended_s: float) -> None:
        """Take what a round came to; steps that were left out have not succeeded either."""
        for step in STEPS:
            self._success.labels(step).set(1 if step in outcome.seconds else 0)
        for step, seconds in outcome.seconds.items():
            self._seconds.labels(step).set(seconds)
        self._last_run.set(ended_s)


class Probe:
    """Plays a round every so many seconds, until the end."""

    def __init__(self, prober: Prober, metrics: ProbeMetrics, *, every_s: float) -> None:
        self._prober = prober
        self._metrics = metrics
        self._every_s = every_s
        self._last = Outcome()

    async def run(self, shutdown: Shutdown) -> None:
        """Play rounds; one that takes longer than the interval is followed by the next at once."""
        while not shutdown.is_requested:
            begun_s = monotonic_s()
            self._tell(await self._prober.play())
            await shutdown.sleep(max(0.0, self._every_s - (monotonic_s() - begun_s)))

    async def check(self) -> Mapping[str, Check]:
        """Return what the last round came to."""
        last = self._last
        told = "every step succeeded" if last.failed is None else f"{last.failed}: {last.why}"
        return {"round": Check(ok=last.failed is None, detail=told)}

    def _tell(self, outcome: Outcome) -> None:
        self._metrics.tell(outcome, ended_s=unix_s())
        if outcome.failed is not None:
            get_logger().warning("probe.step_failed", step=outcome.failed, detail=outcome.why)
        elif self._last.failed is not None:
            get_logger().info("probe.recovered", step=self._last.failed)
        self._last = outcome


async def run_probe(settings: ProbeSettings, key: str, version: str, shutdown: Shutdown) -> None:
    """Probe the platform under *key* until *shutdown*; raises PortTaken."""
    telemetry = open_telemetry(settings, service="observability", process="probe", version=version)
    inbox = Inbox()
    try:
        async with httpx2.AsyncClient(timeout=settings.probe_step_s, limits=CONNECTIONS) as client:
            platform = Platform(client, _addresses(settings), key)
            webhook = (inbox, Endpoint(platform, inbox, settings.webhook_url))
            prober = Prober(platform, webhook, step_s=settings.probe_step_s)
            probe = Probe(prober, ProbeMetrics(telemetry.registry), every_s=settings.probe_every_s)
            await run_together(shutdown, probe.run, lambda ending: _serve(settings, telemetry, probe, inbox, ending))
    finally:
        telemetry.close()


async def _serve(settings: ProbeSettings, telemetry: Telemetry, probe: Probe, inbox: Inbox, shutdown: Shutdown) -> None:
    pages = create_process_app(settings=settings, telemetry=telemetry, deep=probe.check)
    await serve_http(
        with_webhook(pages, inbox),
        host=settings.host,
        port=settings.probe_port,
        shutdown=shutdown,
        drain_s=settings.drain_s,
        port_setting="PROBE_PORT",
    )


def _addresses(settings: ProbeSettings) -> Addresses:
    return Addresses(
        wallet=settings.probe_wallet_url or settings.gateway_url,
        history=settings.probe_history_url or settings.gateway_url,
        notifications=settings.probe_notifications_url or settings.gateway_url,
    )
