"""What looks at the platform with `OBSERVE=1`: made ready, and run as the other processes are."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from engines import checkout, monitoring
from engines.daemon import Command
from engines.engine import Engine
from engines.java import find_jmx_agent
from engines.kafka import JmxAgent
from engines.monitoring import Alertmanager, Prometheus
from engines.ports import LOOPBACK
from gateway.engine import figures_of
from local_stack import fronting
from local_stack.config import Config
from local_stack.credentials import Credentials
from local_stack.observers import (
    ALERT_SINK,
    ALERTMANAGER,
    KAFKA_AGENT,
    NODE_EXPORTER,
    POSTGRES_EXPORTER,
    PROBE,
    PROMETHEUS,
    ObserverType,
)
from local_stack.services import NOTIFICATIONS, TRANSACTION_HISTORY, WALLET, module
from local_stack.supervisor import Unit, engine_unit, run_once

FILES: Final = checkout.ROOT / "deploy" / "observability"
RULES_VARIABLE: Final = "PROMETHEUS_RULES"
"""Rule files that are not the repository's, a pattern."""
READY_WITHIN_S: Final = 30.0
DRAIN_S: Final = 10.0

Log = Callable[[str], Path]
"""Gives the log of a process, by its name."""


def broker_agent(config: Config) -> JmxAgent | None:
    """Return what shows the broker's figures from inside of it; None where nobody looks."""
    if not config.is_observed:
        return None
    return JmxAgent(find_jmx_agent(), FILES / "kafka-jmx.yml", config.observer_port(KAFKA_AGENT))


def find_programs(config: Config) -> None:
    """Have everything that is to look at the stack at hand; raises EngineError where a program cannot be had."""
    monitoring.find_programs()
    broker_agent(config)


def targets_folder(config: Config) -> Path:
    """Return the folder of the files that tell Prometheus whom to ask."""
    return config.state / "data" / PROMETHEUS.name / "targets"


async def configure(config: Config, log: Log) -> None:
    """Write what Prometheus and Alertmanager read when they start."""
    rules = config.environment.get(RULES_VARIABLE) or str(FILES / "prometheus" / "rules" / "*.yml")
    arguments = {
        "--prometheus": _file(config, PROMETHEUS),
        "--targets": targets_folder(config),
        "--rules": rules,
        "--alertmanager": _file(config, ALERTMANAGER),
        "--alertmanager-port": config.observer_port(ALERTMANAGER),
        "--sink-port": config.observer_port(ALERT_SINK),
    }
    argv = module("observability", "configure", *(str(part) for pair in arguments.items() for part in pair))
    await run_once(Command(name="configure", argv=argv, log=log("observability-configure"), cwd=checkout.ROOT))


def observer_units(config: Config, log: Log, *, postgres: str | None, credentials: Credentials) -> list[Unit]:
    """Return the processes; *postgres* is where a role that may see all that our server does reaches it, if it is ours.

    Raises EngineError where a program is missing and cannot be had.
    """
    engines = [_alertmanager(config, log), _prometheus(config, log), _node_exporter(config, log)]
    if postgres is not None:
        engines.append(_postgres_exporter(config, log, postgres))
    for each in engines:
        each.prepare()
    alerts = ("sink", "--file", str(config.state / "alerts.jsonl"))
    own = [_own_unit(config, ALERT_SINK, alerts, log, path="/", env={})]
    if PROBE in dict(config.observers()):
        told = _probing(config, credentials)
        own.append(_own_unit(config, PROBE, ("probe",), log, path="/health/ready", env=told))
    run = (engine_unit(each, drain_s=DRAIN_S) for each in engines)
    return [*own, *(replace(each, address=f"http://{each.address}") for each in run)]


def _probing(config: Config, credentials: Credentials) -> Mapping[str, str]:
    """Return what the probe is told: the gateway, or where there is none the first API of each service."""
    if config.is_full:
        own = {"GATEWAY_URL": f"http://{LOOPBACK}:{config.gateway_port}"}
        return {**own, "PROBE_KEY_FILE": str(credentials.canary_key), **config.environment}
    addresses = {
        "PROBE_WALLET_URL": config.service_url(WALLET),
        "PROBE_HISTORY_URL": config.service_url(TRANSACTION_HISTORY),
        "PROBE_NOTIFICATIONS_URL": config.service_url(NOTIFICATIONS),
    }
    told = {name: url for name, url in addresses.items() if url is not None}
    return {**told, "PROBE_KEY_FILE": str(credentials.canary_key), **config.environment}


def _own_unit(
    config: Config, observer: ObserverType, arguments: tuple[str, ...], log: Log, *, path: str, env: Mapping[str, str]
) -> Unit:
    port = config.observer_port(observer)
    return Unit(
        command=Command(
            name=observer.name,
            argv=module("observability", *arguments),
            log=log(observer.name),
            cwd=checkout.ROOT,
            env={**env, observer.port_variable: str(port)},
        ),
        is_ready=partial(_answers, port, path),
        address=f"http://{LOOPBACK}:{port}",
        ready_within_s=READY_WITHIN_S,
        drain_s=DRAIN_S,
    )


def _answers(port: int, path: str, _pid: int) -> bool:
    return monitoring.answers(port, path)


def _prometheus(config: Config, log: Log) -> Engine:
    return Prometheus(
        folder=_file(config, PROMETHEUS).parent,
        port=config.observer_port(PROMETHEUS),
        log=log(PROMETHEUS.name),
        config=_file(config, PROMETHEUS),
    )


def _alertmanager(config: Config, log: Log) -> Engine:
    return Alertmanager(
        folder=_file(config, ALERTMANAGER).parent,
        port=config.observer_port(ALERTMANAGER),
        log=log(ALERTMANAGER.name),
        config=_file(config, ALERTMANAGER),
    )


def _postgres_exporter(config: Config, log: Log, dsn: str) -> Engine:
    return monitoring.postgres_exporter(
        folder=config.state / "data" / POSTGRES_EXPORTER.name,
        port=config.observer_port(POSTGRES_EXPORTER),
        log=log(POSTGRES_EXPORTER.name),
        dsn=dsn,
        queries=FILES / "postgres-queries.yml",
    )


def _node_exporter(config: Config, log: Log) -> Engine:
    return monitoring.node_exporter(
        folder=config.state / "data" / NODE_EXPORTER.name,
        port=config.observer_port(NODE_EXPORTER),
        log=log(NODE_EXPORTER.name),
        textfiles=figures_of(fronting.folder(config)),
    )


def _file(config: Config, observer: ObserverType) -> Path:
    return config.state / "data" / observer.name / f"{observer.name}.yml"
