"""What a release has to show before clients reach it: health, its key, the canary's transactions."""

import asyncio
import re
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Final

import httpx2

from contracts.ids import SHARDS
from engines.monitoring import answers
from engines.ports import LOOPBACK
from local_stack.config import Config, Instance
from local_stack.processes import admits
from local_stack.services import NOTIFICATIONS, TRANSACTION_HISTORY, WALLET
from observability.probe.platform import Addresses
from observability.probe.platform import Platform as Probed
from observability.probe.round import Prober
from release.errors import ReleaseFailed
from release.sides import Side, until

READY_WITHIN_S: Final = 120.0
SETTLED_WITHIN_S: Final = 60.0
STEP_S: Final = 10.0
METRICS_BYTES_MAX: Final = 4 * 1024 * 1024
_HELD: Final = re.compile(r"^relay_leases_held (\d+(?:\.\d+)?)", re.MULTILINE)


def await_ready(side: Side, key: str) -> None:
    """Return once each process is ready and deeply so, and each API knows *key*; raises ReleaseFailed."""
    for path in ("/health/ready", "/health/deep"):
        _await_answers(side, path, READY_WITHIN_S)
    for service in side.config.services:
        for instance in side.config.instances(service):
            if instance.kind.is_api and service.probe is not None:
                until(partial(admits, instance.port, service.probe, key), f"{instance.name} to know a key")


def await_handed_over(side: Side) -> None:
    """Return once the release's relays hold every shard and each process is well; raises ReleaseFailed."""
    for service in side.config.services:
        ports = [each.port for each in side.config.instances(service)]
        what = f"{service.name}'s relays of {side.release.name} to hold every shard"
        until(partial(_holds_all_leases, ports), what, SETTLED_WITHIN_S)
    _await_answers(side, "/health/deep", SETTLED_WITHIN_S)


def ill(side: Side) -> str | None:
    """Return a process of the release that is not ready, None where all are."""
    return next((each.name for each in _instances(side.config) if not answers(each.port, "/health/ready")), None)


def _await_answers(side: Side, path: str, within_s: float) -> None:
    for instance in _instances(side.config):
        what = f"{instance.name} of {side.release.name} to answer 200 to {path}"
        until(partial(_answers, side, instance.port, path), what, within_s)


def smoke(side: Side, key: str) -> None:
    """Play a round of the canary's transactions at the release's own APIs under *key*; raises ReleaseFailed."""
    outcome = asyncio.run(_play(side.config, key))
    if outcome is not None:
        raise ReleaseFailed(f"{side.release.name} fails the canary: {outcome}")


async def _play(config: Config, key: str) -> str | None:
    at = {service.name: config.service_url(service) for service in config.services}
    addresses = Addresses(
        wallet=str(at[WALLET.name]),
        history=str(at[TRANSACTION_HISTORY.name]),
        notifications=str(at[NOTIFICATIONS.name]),
    )
    async with httpx2.AsyncClient(timeout=STEP_S) as client:
        outcome = await Prober(Probed(client, addresses, key), None, step_s=STEP_S).play()
    return None if outcome.failed is None else f"{outcome.failed}: {outcome.why}"


def _instances(config: Config) -> Iterator[Instance]:
    return (each for service in config.services for each in config.instances(service))


def _answers(side: Side, port: int, path: str) -> bool:
    side.check()
    return answers(port, path)


def leases_held(side: Side) -> int:
    """Return how many shards the release's relays hold, of all services together; raises OSError."""
    return int(sum(_held([each.port for each in _instances(side.config)])))


def _holds_all_leases(ports: list[int]) -> bool:
    """Return whether the relays on *ports* hold every shard; those of a service without one always do."""
    try:
        held = _held(ports)
    except OSError:
        return False
    return not held or sum(held) == SHARDS


def _held(ports: list[int]) -> list[float]:
    """Return how many shards each relay on *ports* holds."""
    held: list[float] = []
    for port in ports:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=STEP_S) as answer:
            held += map(float, _HELD.findall(answer.read(METRICS_BYTES_MAX).decode()))
    return held
