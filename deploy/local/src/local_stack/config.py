"""What the environment says about a stack: ports, parts from outside, numbers of instances."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import checkout
from engines.ports import is_taken
from local_stack.errors import StackError
from local_stack.observers import KAFKA_AGENT, OBSERVERS, POSTGRES_EXPORTER, PROBE, ObserverType
from local_stack.services import SERVICES, ProcessType, Service

STATE_VARIABLE = "LOCAL_STACK_STATE"
BROKER_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
DRAIN_DEFAULT_S = 10.0
CLOSING_S = 20.0
INSTANCES_MAX = 16
REPLICAS_MAX = 4
INSTANCE_PORT_STEP = 100
FULL_API_INSTANCES = 2


@dataclass(frozen=True, slots=True)
class Instance:
    """One process to run: `wallet-api`, then `wallet-api-2` and so on."""

    name: str
    kind: ProcessType
    port: int

    @property
    def url(self) -> str:
        """The address of its HTTP interface."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Config:
    """A stack as the environment describes it; reading a wrong value raises StackError with the variable's name."""

    environment: Mapping[str, str]
    services: tuple[Service, ...] = SERVICES
    port_shift: int = 0
    """How far above the usual ports the services' processes are, beside others of their kind."""

    @property
    def state(self) -> Path:
        """The folder of data, logs and `stack.json`."""
        return Path(self.environment.get(STATE_VARIABLE) or checkout.STATE)

    @property
    def logs(self) -> Path:
        """The folder with one log per process."""
        return self.state / "logs"

    @property
    def outside_broker(self) -> str | None:
        """The broker that somebody else runs, if any."""
        return self.environment.get(BROKER_VARIABLE) or None

    def outside_database(self, service: Service) -> str | None:
        """Return the address of a database that somebody else runs, if any."""
        return self.environment.get(service.url_variable) or None

    @property
    def needs_postgres(self) -> bool:
        """Whether some service's database is ours to run."""
        return any(self.outside_database(each) is None for each in self.services)

    @property
    def postgres_port(self) -> int:
        """The port of our PostgreSQL."""
        return self._number("POSTGRES_PORT", 54320, 65535)

    @property
    def postgres_replica_ports(self) -> Sequence[int]:
        """The ports of the replicas of our PostgreSQL."""
        first = self._number("POSTGRES_REPLICA_PORT", self.postgres_port + 1, 65535 - REPLICAS_MAX)
        return range(first, first + self._number("POSTGRES_REPLICAS", 0, REPLICAS_MAX, least=0))

    @property
    def kafka_port(self) -> int:
        """The port of our broker."""
        return self._number("KAFKA_PORT", 19092, 65535)

    @property
    def kafka_controller_port(self) -> int:
        """The port of our broker's controller."""
        return self._number("KAFKA_CONTROLLER_PORT", 19093, 65535)

    @property
    def is_full(self) -> bool:
        """Whether all that can run here does: two instances of each API, what looks at them, and the gateway."""
        return self._number("FULL", 0, 1, least=0) == 1

    @property
    def is_observed(self) -> bool:
        """Whether Prometheus and what belongs to it run beside the platform."""
        return self.is_full or self._number("OBSERVE", 0, 1, least=0) == 1

    @property
    def gateway_port(self) -> int:
        """The port of the gateway."""
        return self._number("GATEWAY_PORT", 8080, 65535)

    def observers(self) -> Iterator[tuple[ObserverType, int]]:
        """Give what looks at the stack, with its port; the engines of others are theirs to look at."""
        if not self.is_observed:
            return
        for observer in OBSERVERS:
            if observer is POSTGRES_EXPORTER and not self.needs_postgres:
                continue
            if observer is KAFKA_AGENT and self.outside_broker is not None:
                continue
            if observer is PROBE and self._number("PROBE", 1, 1, least=0) == 0:
                continue
            yield observer, self.observer_port(observer)

    def observer_port(self, observer: ObserverType) -> int:
        """Return the port of *observer*."""
        return self._number(observer.port_variable, observer.port, 65535)

    @property
    def drain_s(self) -> float:
        """How long a process may take to end: what it drains itself (`DRAIN_S`), and time to close what it holds."""
        text = self.environment.get("DRAIN_S") or str(DRAIN_DEFAULT_S)
        try:
            return float(text) + CLOSING_S
        except ValueError as error:
            raise StackError(f"DRAIN_S is {text!r}: it must be a number of seconds") from error

    def own_links(self, service: Service) -> dict[str, str]:
        """Return the service's variables that point at its own API, those that are set left out."""
        api = self.service_url(service)
        if api is None:
            return {}
        return {name: api + path for name, path in service.own_links if name not in self.environment}

    def service_url(self, service: Service) -> str | None:
        """Return the address of the service's first API process, if it has one."""
        return next((each.url for each in self.instances(service) if each.kind.is_api), None)

    def instances(self, service: Service) -> Iterator[Instance]:
        """Give every process of a service; the n-th instance listens n-1 hundreds above the first."""
        for kind in service.processes:
            first = self._number(kind.port_variable, kind.port, 65535) + self.port_shift
            usual = FULL_API_INSTANCES if kind.is_api and self.is_full else 1
            count = self._number(kind.instances_variable, usual, INSTANCES_MAX) if kind.instances_variable else 1
            yield Instance(kind.name, kind, first)
            for number in range(2, count + 1):
                yield Instance(f"{kind.name}-{number}", kind, first + INSTANCE_PORT_STEP * (number - 1))

    def check_ports(self) -> None:
        """Raise StackError, naming port and variable, when a port is claimed twice or held by someone else."""
        claimed: dict[int, str] = {}
        for variable, port in self._claims():
            if port in claimed:
                raise StackError(f"port {port} is claimed by {claimed[port]} and by {variable}: change one of them")
            claimed[port] = variable
            if is_taken(port):
                raise StackError(f"port {port} is taken by another program: set {variable} to a free one")

    def check_ports_of_services(self) -> None:
        """Raise StackError, naming it, when the port of a service's process is held by someone."""
        for variable, port in self._claims_of_services():
            if is_taken(port):
                raise StackError(f"port {port} is taken by another program, and {variable} leads there: end that one")

    def _claims_of_services(self) -> Iterator[tuple[str, int]]:
        for service in self.services:
            for instance in self.instances(service):
                yield instance.kind.port_variable, instance.port

    def _claims(self) -> Iterator[tuple[str, int]]:
        if self.needs_postgres:
            yield "POSTGRES_PORT", self.postgres_port
            for port in self.postgres_replica_ports:
                yield "POSTGRES_REPLICA_PORT", port
        if self.outside_broker is None:
            yield "KAFKA_PORT", self.kafka_port
            yield "KAFKA_CONTROLLER_PORT", self.kafka_controller_port
        yield from self._claims_of_services()
        if self.is_full:
            yield "GATEWAY_PORT", self.gateway_port
        for observer, port in self.observers():
            yield observer.port_variable, port

    def _number(self, variable: str, default: int, most: int, *, least: int = 1) -> int:
        text = self.environment.get(variable) or str(default)
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise StackError(f"{variable} is {text!r}: it must be a whole number from {least} to {most}")
        return int(text)
