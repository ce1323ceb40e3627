"""Apache Kafka as one real KRaft process, broker and controller in one, on the loopback address."""

import base64
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import accounts, java, tether
from engines.daemon import Command, tethered
from engines.engine import Engine
from engines.errors import EngineError
from engines.ports import LOOPBACK

READY_WITHIN_S = 90.0
STARTED = b"Kafka Server started"
LOG_BYTES_MAX = 1 << 20  # one start logs about 200 KiB
LOG_CONFIG = Path(__file__).with_name("broker") / "log4j2.xml"
# A small heap that compiles quickly: one broker of a developer's machine, not a throughput machine.
JVM_FLAGS = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

_PROTOCOLS = "listener.security.protocol.map"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    _PROTOCOLS: "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # The default of 128 MiB is taken on the heap at boot.
    "log.cleaner.dedupe.buffer.size": "2097152",
    # After kill -9 a restart waits for the old broker's session to end: 11.5 s with the defaults, 4.3 s so.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the broker runs on: a Java and a folder of jars."""

    java: str
    jars: Path

    def argv(self, main: str, *arguments: str, flags: tuple[str, ...] = JVM_FLAGS) -> tuple[str, ...]:
        """Return the command that runs one class of Kafka."""
        logging = f"-Dlog4j2.configurationFile={LOG_CONFIG}"
        return (self.java, *flags, logging, "-cp", f"{self.jars}/*", main, *arguments)


def find_runtime() -> Runtime:
    """Return a Java and the jars, getting what is missing; EngineError says what cannot be got."""
    return Runtime(java.find_java(), java.find_jars())


@dataclass(frozen=True, slots=True)
class SaslListener:
    """A second listener, on *port*: its clients prove by SCRAM-SHA-512 which of *users* (to passwords) they are.

    They may do what ACLs allow them; those of the first listener, which have no name, may do everything. The passwords
    stand in the command that formats the folder: they are for tests.
    """

    port: int
    users: Mapping[str, str]

    @property
    def address(self) -> str:
        """The address for its clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def settings(self) -> Mapping[str, str]:
        """The broker's settings that it takes, besides its address."""
        return {
            _PROTOCOLS: f"{SETTINGS[_PROTOCOLS]},SASL:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    @property
    def format_arguments(self) -> Sequence[str]:
        """What the folder is formatted with, so that the users are known from the first start."""
        added = (f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self.users.items())
        return [argument for each in added for argument in ("--add-scram", each)]


@dataclass(frozen=True, slots=True)
class JmxAgent:
    """What shows the broker's figures on *port*, in its own process: *rules* is the agent's file of which, and how."""

    jar: Path
    rules: Path
    port: int

    @property
    def flag(self) -> str:
        """The flag that has Java load it."""
        return f"-javaagent:{self.jar}={LOOPBACK}:{self.port}:{self.rules}"


@dataclass(kw_only=True, slots=True)
class KafkaBroker(Engine):
    """One broker; its folder is formatted at the first start. With *sasl* it has a listener for named users.

    With *agent* it shows its figures to Prometheus.
    """

    ready_within_s = READY_WITHIN_S

    controller_port: int
    runtime: Runtime
    sasl: SaslListener | None = None
    agent: JmxAgent | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def _temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def prepare(self) -> None:
        """Write the settings, and format the folder once. Not while the broker runs."""
        accounts.make_passable(self.folder)  # its parents may be PostgreSQL's too
        self.folder.chmod(0o700)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir()
        served = [f"BROKER://{LOOPBACK}:{self.port}", *([f"SASL://{self.sasl.address}"] if self.sasl else [])]
        own = {
            **(self.sasl.settings if self.sasl else {}),
            "listeners": ",".join([*served, f"CONTROLLER://{LOOPBACK}:{self.controller_port}"]),
            "advertised.listeners": ",".join(served),
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self.controller_port}",
            "log.dirs": str(self.data),
        }
        lines = [f"{name}={value}\n" for name, value in {**SETTINGS, **own}.items()]
        self._properties.write_text("".join(lines))
        if not (self.data / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        users = self.sasl.format_arguments if self.sasl else ()
        arguments = ("format", "--standalone", "-t", _new_cluster_id(), "-c", str(self._properties), *users)
        argv = self.runtime.argv("kafka.tools.StorageTool", *arguments)
        command = Command(name="format", argv=argv, log=self.log)
        done = subprocess.run(tethered(command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"Kafka could not format {self.data}:\n{done.stdout}{done.stderr}")

    def command(self) -> Command:
        """Return how the broker is run."""
        # Compression libraries are unpacked there at every start, and stay behind after kill -9.
        flags = (*JVM_FLAGS, f"-Djava.io.tmpdir={self._temporary}", *([self.agent.flag] if self.agent else []))
        argv = self.runtime.argv("kafka.Kafka", str(self._properties), flags=flags)
        return Command(name="kafka", argv=argv, log=self.log, cwd=self.folder)

    def is_ready(self, pid: int) -> bool:
        """Return whether the broker with this pid serves, from the line it logs once it is no longer fenced."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LOG_BYTES_MAX))
            _, start, since_start = log.read().rpartition(tether.start_line(pid).encode())
        return bool(start) and STARTED in since_start


def _new_cluster_id() -> str:
    """Return 16 random bytes as Kafka writes ids; the first is small, so that it never begins with a hyphen."""
    return base64.urlsafe_b64encode(b"\x01" + secrets.token_bytes(15)).decode().rstrip("=")
