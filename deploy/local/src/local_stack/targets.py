"""Where Prometheus finds figures: the kinds of process that have some, and those of a stack with their addresses."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.ports import LOOPBACK
from local_stack.beside import Beside
from local_stack.config import Config
from local_stack.observers import OBSERVERS
from local_stack.services import SERVICES, Service

LABELS: Final = ("job", "service", "process", "instance")
"""What every series has: the service twice, the kind of process, and which of its processes."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """A kind of process that has figures, and the port that it listens on unless that is moved."""

    service: str
    process: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """One process of a stack that has figures."""

    service: str
    process: str
    instance: str
    port: int


def scraped(services: Sequence[Service] = SERVICES) -> Iterator[Scraped]:
    """Give every kind of process that has figures, those of *services* first."""
    for service in services:
        for process in service.processes:
            yield Scraped(service.slug, process.name, process.port)
    for observer in OBSERVERS:
        if observer.figures_of is not None:
            yield Scraped(observer.figures_of, observer.name, observer.port)


def targets(config: Config) -> Iterator[Target]:
    """Give every process of a stack that has figures, whether it runs now or not."""
    for service in config.services:
        for instance in config.instances(service):
            yield Target(service.slug, instance.kind.name, instance.name, instance.port)
    for observer, port in config.observers():
        if observer.figures_of is not None:
            yield Target(observer.figures_of, observer.name, observer.name, port)


def targets_beside(release: Beside) -> Iterator[Target]:
    """Give every process of a release beside the stack, whose instances are called by it."""
    for name, each in release.processes.items():
        yield Target(each.service, each.process, f"{name}@{release.release}", int(each.url.rpartition(":")[2]))


def write_targets(folder: Path, found: Sequence[Target]) -> None:
    """Replace the file that Prometheus watches in *folder*: it reads what was or what is, never half."""
    groups = [
        {
            "targets": [f"{LOOPBACK}:{each.port}"],
            "labels": {
                "job": each.service,
                "service": each.service,
                "process": each.process,
                "instance": each.instance,
            },
        }
        for each in found
    ]
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".stack.partial"
    partial.write_text(json.dumps(groups, indent=2) + "\n")
    partial.replace(folder / "stack.json")
