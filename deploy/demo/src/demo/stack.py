"""The demo's own stack: its own folder and, where the usual ones are taken, its own ports; empty at the start."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from contracts.scopes import Kind
from engines import checkout, databases
from engines.ports import free_ports, is_taken
from local_stack import control, state
from local_stack.config import STATE_VARIABLE, Config
from local_stack.credentials import Credentials
from local_stack.observers import OBSERVERS
from local_stack.services import SERVICES

FOLDERS_MAX: Final = 10
_PORTS: Final = {
    "POSTGRES_PORT": 54320,
    "KAFKA_PORT": 19092,
    "KAFKA_CONTROLLER_PORT": 19093,
    **{process.port_variable: process.port for service in SERVICES for process in service.processes},
    **{observer.port_variable: observer.port for observer in OBSERVERS},
}
ENVIRONMENT: Final = {
    "NOTIFICATIONS_ALLOW_LOOPBACK": "true",
    "NOTIFICATIONS_ENDPOINT_ATTEMPTS": "32",
    "TRANSACTION_HISTORY_STATEMENTS_SETTLED_S": "0",
    "PROBE": "0",
}
"""The subscriber is one server on this machine, and the only one. Statements are closed when all is played. What the
demo compares holds no wallets but its own, with `OBSERVE=1` neither."""
REBUILD_WITHIN_S: Final = 1_800.0
BOOTSTRAP_WITHIN_S: Final = 60.0
STRANGERS: Final = "00000000-0000-7000-8000-0000000000a2"
STRANGERS_ISSUER: Final = "https://strangers.localhost/"
"""The tenant that attacks this one, and whose tokens are those of its users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Where the parts of a running stack are."""

    wallet_url: str
    history_url: str
    notifications_url: str
    fraud_url: str
    wallet_dsn: str
    history_dsn: str
    history_owner_dsn: str
    notifications_dsn: str
    fraud_dsn: str
    kafka: str
    access_url: str
    credential: str
    """A backend's key, with every scope a backend may hold."""
    operator: str
    """The key of somebody of the staff."""
    credentials: Credentials
    """Who signs tokens of the stack's own owners."""
    strangers: Credentials
    """Those of another tenant."""
    forger: Credentials
    """Those of nobody: its tokens say that they are the stack's own, and its key is unknown."""


class DemoError(Exception):
    """The demo cannot go on; the message is for the person at the terminal."""


def config_for(environment: Mapping[str, str], console: Console) -> Config:
    """Return the configuration of the demo's stack, in a folder where none runs; ports that are named stay."""
    folders = [checkout.STATE / name for name in ("demo", *(f"demo-{n}" for n in range(2, FOLDERS_MAX + 1)))]
    busy = [folder for folder in (checkout.STATE, *folders) if _runs_in(folder)]
    free = next((folder for folder in folders if folder not in busy), None)
    if free is None:
        raise DemoError(f"{FOLDERS_MAX} demos run already")
    for folder in busy:
        advice = f"`{STATE_VARIABLE}={folder} make down` ends it"
        console.print(f"a stack runs in {folder} already ({advice}): the demo takes free ports", soft_wrap=True)
    ports = _ports(environment, console, is_alone=not busy)
    return Config({**ports, **environment, STATE_VARIABLE: str(free)})


def _runs_in(folder: Path) -> bool:
    return folder.exists() and state.running_pid(folder) is not None


def _ports(environment: Mapping[str, str], console: Console, *, is_alone: bool) -> dict[str, str]:
    """Return the usual ports, or free ones where another stack, which may only be starting, takes them."""
    wanted = {name: port for name, port in _PORTS.items() if name not in environment}
    taken = [str(port) for port in wanted.values() if is_taken(port)]
    if is_alone and not taken:
        return {}
    if is_alone:
        console.print(f"port {', '.join(taken)} is taken: the demo takes free ports", soft_wrap=True)
    return free_port_variables(wanted)


def free_port_variables(wanted: Collection[str] = _PORTS.keys()) -> dict[str, str]:
    """Return a free port for each of the variables *wanted*, of the whole stack by default."""
    return {name: str(port) for name, port in zip(wanted, free_ports(len(wanted)), strict=True)}


@asynccontextmanager
async def running(config: Config, console: Console) -> AsyncIterator[Platform]:
    """Start an empty stack, and stop it however the demo ends."""
    quiet = Console(quiet=True)
    control.clean(config, quiet)
    try:
        with console.status("starting the platform"):
            await _to_its_end(asyncio.to_thread(control.detach, config, quiet))
        platform = platform_in(config)
        assert platform is not None, "the stack has started"
        console.print(f"the platform is up: {platform.wallet_url}, logs in {config.logs}")
        await asyncio.to_thread(_let_strangers_in, config, platform)
        yield platform
    finally:
        await asyncio.to_thread(control.down, config, quiet)


async def _to_its_end(starting: Coroutine[Any, Any, None]) -> None:
    """Wait for *starting* even when cancelled meanwhile: only what has started can be stopped."""
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def discard(config: Config) -> None:
    """Remove the data of a stack that was stopped."""
    control.clean(config, Console(quiet=True))


def platform_in(config: Config) -> Platform | None:
    """Return the platform that runs where *config* says; None until it has started."""
    description = state.description_file(config.state)
    if not description.exists():
        return None
    document = json.loads(description.read_text())
    ours = Credentials(config.state)
    history_dsn: str = document["postgres"]["transaction_history"]
    return Platform(
        wallet_url=document["services"]["wallet"]["url"],
        history_url=document["services"]["transaction_history"]["url"],
        notifications_url=document["services"]["notifications"]["url"],
        fraud_url=document["services"]["fraud"]["url"],
        wallet_dsn=document["postgres"]["wallet"],
        history_dsn=history_dsn,
        history_owner_dsn=_owner_dsn(config, history_dsn),
        notifications_dsn=document["postgres"]["notifications"],
        fraud_dsn=document["postgres"]["fraud"],
        kafka=document["kafka"],
        access_url=document["services"]["access"]["url"],
        credential=ours.key(Kind.SERVICE),
        operator=ours.key(Kind.OPERATOR),
        credentials=ours,
        strangers=Credentials(config.state / "strangers", tenant=STRANGERS, issuer=STRANGERS_ISSUER),
        forger=Credentials(config.state / "forger"),
    )


def _let_strangers_in(config: Config, platform: Platform) -> None:
    """Make another tenant with an issuer and keys of its own, and the forger's key, which nobody is told.

    Raises DemoError where `access bootstrap` fails.
    """
    platform.forger.prepare()
    platform.strangers.prepare()
    database = json.loads(state.description_file(config.state).read_text())["postgres"]["access"]
    ended = subprocess.run(
        [sys.executable, "-m", "access", "bootstrap", "--file", str(platform.strangers.plan)],
        check=False,
        capture_output=True,
        text=True,
        timeout=BOOTSTRAP_WITHIN_S,
        env={
            **config.environment,
            "ACCESS_DATABASE_URL": database,
            "KAFKA_BOOTSTRAP_SERVERS": platform.kafka,
        },
    )
    if ended.returncode != 0:
        raise DemoError(f"access bootstrap of another tenant ended with {ended.returncode}: {ended.stderr}")
    platform.strangers.keep_keys(ended.stdout)


def _owner_dsn(config: Config, app_dsn: str) -> str:
    outside = config.environment.get("TRANSACTION_HISTORY_OWNER_DATABASE_URL")
    if outside:
        return outside
    role = databases.owner_role("transaction_history")
    password = state.passwords(config.state, [role])[role]
    scheme, _, rest = app_dsn.partition("://")
    return f"{scheme}://{role}:{password}@{rest.rpartition('@')[2]}"


def rebuild(platform: Platform, environment: Mapping[str, str], log: Path) -> bool:
    """Run the operators' rebuild of the read model and switch to it; return whether it said that all is equal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "transaction_history", "projections", "rebuild", "--switch"],
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=REBUILD_WITHIN_S,
            env={
                **environment,
                "KAFKA_BOOTSTRAP_SERVERS": platform.kafka,
                "TRANSACTION_HISTORY_DATABASE_URL": platform.history_dsn,
                "TRANSACTION_HISTORY_OWNER_DATABASE_URL": platform.history_owner_dsn,
            },
        )
    return ended.returncode == 0
