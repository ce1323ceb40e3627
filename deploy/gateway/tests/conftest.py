"""Gateways on free ports."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.ports import free_ports
from gateway.engine import TEMPLATE, Gateway
from gateway.rendering import Behind

MakeGateway = Callable[..., Gateway]


@pytest.fixture
def make_gateway(run_folder: Path) -> Iterator[MakeGateway]:
    """Give a maker of gateways that have started; their port is filled in."""
    started: list[Gateway] = []

    def make(behind: Behind, *, template: Path = TEMPLATE) -> Gateway:
        (port,) = free_ports(1)
        name = f"gateway-{secrets.token_hex(4)}"
        gateway = Gateway(
            folder=run_folder / name,
            port=port,
            log=run_folder / f"{name}.log",
            behind=replace(behind, port=port),
            template=template,
        )
        gateway.start()
        started.append(gateway)
        return gateway

    yield make
    for gateway in started:
        gateway.kill()
