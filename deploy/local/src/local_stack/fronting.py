"""The gateway of a stack with `FULL=1`: what it stands in front of, and the address that the APIs know it by."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engines.ports import LOOPBACK
from gateway.engine import Gateway
from gateway.rendering import Behind
from local_stack.config import Config
from local_stack.supervisor import Unit, engine_unit

TRUSTED_VARIABLE: Final = "TRUSTED_PROXIES"
SOURCE: Final = "127.0.0.2" if sys.platform == "linux" else None
"""A loopback address that no client comes from, so that the gateway alone is believed. Only Linux has it by itself."""
DRAIN_S: Final = 40.0
"""Longer than nginx waits for requests that are under way."""


def folder(config: Config) -> Path:
    """Return where the gateway of *config* keeps its files."""
    return config.state / "data" / "gateway"


def behind(config: Config) -> Behind:
    """Return what the gateway of *config* stands in front of: every instance of each API."""
    apis = {
        service.slug: [f"{LOOPBACK}:{instance.port}" for instance in config.instances(service) if instance.kind.is_api]
        for service in config.services
    }
    return Behind(port=config.gateway_port, apis=apis, source=SOURCE)


def gateway(config: Config, log: Path) -> Gateway:
    """Return the gateway of *config*, which writes to *log*."""
    return Gateway(folder=folder(config), port=config.gateway_port, log=log, behind=behind(config))


def gateway_unit(config: Config, log: Callable[[str], Path]) -> Unit:
    """Return the gateway's process; EngineError says why it cannot run."""
    made = gateway(config, log("gateway"))
    made.prepare()
    return engine_unit(made, drain_s=DRAIN_S)


def trusted(config: Config) -> dict[str, str]:
    """Return what an API is told of the gateway before it."""
    return {TRUSTED_VARIABLE: SOURCE} if config.is_full and SOURCE is not None else {}
