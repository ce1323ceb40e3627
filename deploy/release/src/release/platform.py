"""The stack that runs, as its operator finds it: what it was started with, and what it says of itself."""

import json
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from contracts.scopes import Kind
from engines.databases import service_roles
from local_stack import beside, state
from local_stack.config import Config
from local_stack.credentials import Credentials
from local_stack.processes import Database, Surroundings
from local_stack.services import Service
from release.errors import ReleaseFailed

NOTHING_RUNS = "no whole stack runs here: start one with `make up FULL=1 DETACH=1`"


@dataclass(frozen=True, slots=True)
class Platform:
    """A stack that runs with its gateway: the *pid* of its own process, its *config*, and what `stack.json` says."""

    pid: int
    config: Config
    document: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The stack's folder."""
        return self.config.state

    @property
    def run(self) -> str:
        """What tells this run of the stack from every other."""
        return f"{self.pid}-{psutil.Process(self.pid).create_time()}"

    @property
    def gateway_pid(self) -> int:
        """The pid of the gateway now; raises ReleaseFailed while it does not run."""
        told = json.loads(state.description_file(self.folder).read_text())["gateway"]["pid"]
        if told is None:
            raise ReleaseFailed("the gateway does not run at the moment: see `make status`")
        return int(told)

    @property
    def key(self) -> str:
        """A key that every API admits."""
        return Credentials(self.folder).key(Kind.SERVICE)

    @property
    def canary_key(self) -> str:
        """The key of the canary tenant's account."""
        return Credentials(self.folder).canary_key.read_text().strip()

    def look_again(self) -> None:
        """Have the stack obey what is ordered, and tell of the releases beside it."""
        os.kill(self.pid, beside.LOOK_AGAIN)

    def surroundings(self, services: tuple[Service, ...], *, release: str, root: Path) -> Surroundings:
        """Return what processes of *release* find; raises ReleaseFailed for a service that has no database here."""
        missing = [each.name for each in services if each.name not in self.document["postgres"]]
        if missing:
            raise ReleaseFailed(
                f"{missing[0]} is new and has no database here: start the stack anew with that release checked out"
            )
        databases = {each.name: self._database(each) for each in services}
        return Surroundings(databases=databases, kafka=self.document["kafka"], release=release, root=root)

    def _database(self, service: Service) -> Database:
        app = str(self.document["postgres"][service.name])
        if self.config.outside_database(service) is not None:
            told = self.config.environment
            return Database(app=app, reader=told[service.reader_url_variable], owner=told[service.owner_url_variable])
        owner, _, reader = service_roles(service.name)
        secrets = state.passwords(self.folder, (owner, reader))
        at = urllib.parse.urlsplit(app)
        replicas = (f"{at.hostname}:{port}" for port in self.config.postgres_replica_ports)
        return Database(
            app=app,
            reader=_address(at, reader, secrets[reader], f"{at.hostname}:{at.port}"),
            owner=_address(at, owner, secrets[owner], f"{at.hostname}:{at.port}"),
            replicas=tuple(_address(at, reader, secrets[reader], each) for each in replicas),
        )


def _address(at: urllib.parse.SplitResult, role: str, password: str, host: str) -> str:
    return at._replace(netloc=f"{role}:{password}@{host}").geturl()


def find(environment: Mapping[str, str]) -> Platform:
    """Return the stack that *environment* names; raises ReleaseFailed unless it is up, with its gateway."""
    folder = Config(environment).state
    pid = state.running_pid(folder)
    if pid is None or not state.description_file(folder).exists():
        raise ReleaseFailed(NOTHING_RUNS)
    started_with = psutil.Process(pid).environ()
    config = Config(started_with)
    document = json.loads(state.description_file(folder).read_text())
    if not config.is_full or "gateway" not in document:
        raise ReleaseFailed(NOTHING_RUNS)
    return Platform(pid, config, document)
