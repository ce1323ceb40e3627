"""Looks at every dashboard of the running stack: which panels have something to show, and a page of each."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from contracts.scopes import Kind
from local_stack.config import Config
from local_stack.credentials import Credentials
from local_stack.errors import StackError
from local_stack.observers import PROMETHEUS
from local_stack.state import description_file
from observability.asking import TIMEOUT_S, Answer, NotAsked, PrometheusClient, said
from observability.asking_postgres import ask_database
from observability.pages import page
from observability.panels import Dashboard, Panel
from servicekit.clock import utc_now

_TOP_WALLETS: Final = "/v1/history/top-wallets"

Tell = Callable[[str], None]
"""Prints a line for whoever waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the running stack is asked: URLs of the history and of Prometheus, and the DSN of the role `dashboards`."""

    history: str
    prometheus: str
    postgres: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: every panel with what it shows."""

    answers: Mapping[str, Sequence[Answer]]

    @property
    def filled(self) -> int:
        """How many panels have something to show."""
        return sum(answer.is_filled for answers in self.answers.values() for answer in answers)

    @property
    def missing(self) -> list[str]:
        """The panels that should have something to show, and have not."""
        return [f"{name}: {answer.panel.title}" for name, answer in self._empty() if answer.panel.needs is None]

    @property
    def excused(self) -> list[str]:
        """The panels that rightly have nothing to show, with the reason."""
        return [
            f"{name}: {answer.panel.title}: {answer.panel.needs}"
            for name, answer in self._empty()
            if answer.panel.needs
        ]

    def _empty(self) -> list[tuple[str, Answer]]:
        return [(name, answer) for name, answers in self.answers.items() for answer in answers if not answer.is_filled]


def look(config: Config, dashboards: Sequence[Dashboard], out: Path, tell: Tell) -> Look:
    """Ask for every panel, and write a page for each dashboard to *out*. Raises NotAsked."""
    addresses = addresses_of(config)
    have_wallets_ranked(addresses.history, Credentials(config.state))
    now = utc_now()
    found: dict[str, list[Answer]] = {}
    with httpx2.Client(base_url=addresses.prometheus, timeout=TIMEOUT_S) as client:
        prometheus = PrometheusClient(client, now.timestamp())
        for each in dashboards:
            found[each.name] = [_answer(panel, prometheus, addresses.postgres) for panel in each.panels]
            tell(f"{each.name}: {sum(answer.is_filled for answer in found[each.name])} of {len(each.panels)} panels")
    out.mkdir(parents=True, exist_ok=True)
    for each in dashboards:
        (out / f"{each.name}.html").write_text(page(each, found[each.name], list(found), now))
    return Look(found)


def _answer(panel: Panel, prometheus: PrometheusClient, dsn: str) -> Answer:
    return prometheus.answer(panel) if panel.sql is None else asyncio.run(ask_database(dsn, panel))


def addresses_of(config: Config) -> Addresses:
    """Return what the running stack says of itself. Raises NotAsked where none runs, or none that is watched."""
    try:
        told: Mapping[str, Any] = json.loads(description_file(config.state).read_text())
    except FileNotFoundError as error:
        raise NotAsked("no stack runs here: `make up OBSERVE=1` starts one") from error
    prometheus = told["observers"].get(PROMETHEUS.name)
    if prometheus is None:
        raise NotAsked("the stack is not watched: `make down`, then `make up OBSERVE=1` starts it with Prometheus")
    if "dashboards" not in told["outsiders"]:
        raise NotAsked("the stack has no database of its own for the dashboards' role: unset <SERVICE>_DATABASE_URL")
    return Addresses(
        history=told["services"]["transaction_history"]["url"],
        prometheus=prometheus["url"],
        postgres=told["outsiders"]["dashboards"],
    )


def have_wallets_ranked(history: str, credentials: Credentials) -> None:
    """Ask the history for its most active wallets: the view of dashboards shows what somebody asked of late."""
    try:
        asked = httpx2.get(
            history + _TOP_WALLETS,
            params={"window": "24h"},
            headers={"Authorization": f"Bearer {credentials.key(Kind.SERVICE).strip()}"},
            timeout=TIMEOUT_S,
        )
        asked.raise_for_status()
    except (httpx2.HTTPError, StackError) as error:
        raise NotAsked(f"the history does not rank its wallets ({said(error)}): see `make status`") from error
