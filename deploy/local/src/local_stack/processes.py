"""The services' processes of a stack, as what runs them is told: their commands, and all of their environment."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engines import checkout
from engines.daemon import Command
from engines.ports import LOOPBACK
from local_stack import fronting
from local_stack.config import BROKER_VARIABLE, Config, Instance
from local_stack.services import Service
from local_stack.supervisor import Unit

HEALTH_TIMEOUT_S = 2.0

Log = Callable[[str], Path]
"""Gives the log of a process, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where a service's roles reach its database, and its reader the replicas of it."""

    app: str
    reader: str
    owner: str
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What processes find: a database per service, the broker, and the name of their release, "" without one."""

    databases: Mapping[str, Database]
    kafka: str
    release: str
    root: Path = checkout.ROOT


def process_units(config: Config, found: Surroundings, log: Log) -> list[Unit]:
    """Return every process of the services of *config*."""
    return [
        _unit(config, service, instance, found, log)
        for service in config.services
        for instance in config.instances(service)
    ]


def environment(config: Config, service: Service, found: Surroundings) -> dict[str, str]:
    """Return what each process of *service* is told, but for its port."""
    database = found.databases[service.name]
    replicas = list(database.replicas)
    return {
        "TRACES_FILE": str(config.state / "traces.jsonl"),
        **fronting.trusted(config),
        **dict(service.defaults),
        **(dict(service.observed_defaults) if config.is_observed else {}),
        **({service.replicas_variable: json.dumps(replicas)} if service.replicas_variable and replicas else {}),
        **{name: str(config.state / "data" / folder) for name, folder in service.folders},
        "RELEASE": found.release,
        **config.environment,
        **config.own_links(service),
        BROKER_VARIABLE: found.kafka,
        service.url_variable: database.app,
        service.reader_url_variable: database.reader,
    }


def migration(config: Config, service: Service, found: Surroundings, log: Log, *words: str) -> Command:
    """Return what migrates the service's database; *words* are said to it besides."""
    name = f"{service.slug}-migrate"
    env = {**environment(config, service, found), service.owner_url_variable: found.databases[service.name].owner}
    return Command(name=name, argv=(*service.migrate, *words), log=log(name), cwd=found.root, env=env)


def _unit(config: Config, service: Service, instance: Instance, found: Surroundings, log: Log) -> Unit:
    env = {**environment(config, service, found), instance.kind.port_variable: str(instance.port)}
    return Unit(
        command=Command(name=instance.name, argv=instance.kind.argv, log=log(instance.name), cwd=found.root, env=env),
        is_ready=partial(says_ready, instance.port),
        address=instance.url,
        after=instance.kind.after,
        drain_s=config.drain_s,
    )


def admits(port: int, path: str, key: str) -> bool:
    """Return whether the API on *port* answers a read of *path* under *key*."""
    return _answers_ok(port, path, {"Authorization": f"Bearer {key}"})


def says_ready(port: int, _pid: int = 0) -> bool:
    """Return whether the process on *port* answers 200 to /health/ready."""
    return _answers_ok(port, "/health/ready", {})


def _answers_ok(port: int, path: str, headers: Mapping[str, str]) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
