"""PostgreSQL and Kafka for a test run: real ones, on free ports, in a folder that goes away with the run."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engines import accounts, kafka, locks, postgres
from engines.errors import EngineError
from engines.kafka import KafkaBroker, SaslListener
from engines.ports import free_ports
from engines.postgres import PostgresServer

# Between choosing a free port and taking it, another run may be quicker.
PORT_ATTEMPTS = 3


@contextmanager
def run_folder(home: Path) -> Iterator[Path]:
    """Give a new folder below *home*; it is removed at the end, as are those of runs that were killed."""
    runs = home / "runs"
    with locks.waiting(runs.with_name("runs.lock")):
        _sweep(runs)
        folder = runs / secrets.token_hex(6)
        accounts.make_passable(folder)
        held = locks.take(folder / "alive")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            held.close()


def _sweep(runs: Path) -> None:
    for folder in runs.glob("*"):
        handle = locks.take(folder / "alive")
        if handle is not None:
            handle.close()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(
    folder: Path, *, settings: Mapping[str, str] = postgres.DURABLE, name: str = "postgres"
) -> Iterator[PostgresServer]:
    """Run a server of our own under *folder*, and end it without ceremony."""
    binaries = postgres.find_binaries(accounts.unprivileged_account())
    for attempt in range(1, PORT_ATTEMPTS + 1):
        (port,) = free_ports(1)
        server = PostgresServer(
            folder=folder / name, port=port, log=folder / f"{name}.log", binaries=binaries, settings=settings
        )
        if _started(server, attempt):
            break
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_kafka(
    folder: Path, *, name: str = "kafka", users: Mapping[str, str] | None = None
) -> Iterator[KafkaBroker]:
    """Run a broker of our own under *folder*, and end it without ceremony.

    With *users*, names to passwords, it has a listener for them, see `SaslListener`.
    """
    runtime = kafka.find_runtime()
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port, controller_port, sasl_port = free_ports(3)
        broker = KafkaBroker(
            folder=folder / f"{name}-{attempt}",
            port=port,
            controller_port=controller_port,
            log=folder / f"{name}.log",
            runtime=runtime,
            sasl=SaslListener(sasl_port, users) if users else None,
        )
        if _started(broker, attempt):
            break
    try:
        yield broker
    finally:
        broker.kill()


def _started(engine: PostgresServer | KafkaBroker, attempt: int) -> bool:
    try:
        engine.start()
    except EngineError:
        if attempt == PORT_ATTEMPTS:
            raise
        return False
    return True
