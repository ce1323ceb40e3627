"""Looks at every dashboard of the running stack: which panels have something to show, and a page of each."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from contracts.scopes import Kind
from engines.ports import LOOPBACK
from local_stack.config import Config
from local_stack.credentials import Credentials
from local_stack.errors import StackError
from local_stack.observers import PROMETHEUS
from local_stack.state import description_file
from observability.asking import TIMEOUT_S, Answer, NotAsked, PrometheusClient, ask_database
from observability.pages import page
from observability.panels import Dashboard
from servicekit.clock import utc_now

_TOP_WALLETS: Final = "/v1/history/top-wallets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found: how many panels have something to show, and which have not, as lines of text."""

    filled: int
    missing: Sequence[str]
    excused: Sequence[str]


def look(config: Config, dashboards: Sequence[Dashboard], out: Path) -> Look:
    """Ask for every panel, and write a page for each dashboard to *out*. Raises NotAsked."""
    told = _told(config)
    now = utc_now()
    _have_wallets_ranked(config, told)
    url = told.get("observers", {}).get(PROMETHEUS.name, {}).get("url")
    url = url or f"http://{LOOPBACK}:{config.observer_port(PROMETHEUS)}"
    with httpx2.Client(base_url=url, timeout=TIMEOUT_S) as client:
        prometheus = PrometheusClient(client, now.timestamp())
        found = {each.name: [_answer(panel, prometheus, told) for panel in each.panels] for each in dashboards}
    out.mkdir(parents=True, exist_ok=True)
    names = [each.name for each in dashboards]
    for each in dashboards:
        (out / f"{each.name}.html").write_text(page(each, found[each.name], names, now))
    return _judged(found)


def _answer(panel: Any, prometheus: PrometheusClient, told: Mapping[str, Any]) -> Answer:
    if panel.sql is None:
        return prometheus.answer(panel)
    dsn = told.get("outsiders", {}).get("dashboards")
    if dsn is None:
        raise NotAsked("the stack's file names no database for dashboards: `make up OBSERVE=1` starts one")
    return asyncio.run(ask_database(dsn, panel))


def _judged(found: Mapping[str, Sequence[Answer]]) -> Look:
    empty = [(name, each) for name, answers in found.items() for each in answers if not each.is_filled]
    return Look(
        filled=sum(len(answers) for answers in found.values()) - len(empty),
        missing=[f"{name}: {each.panel.title}" for name, each in empty if each.panel.needs is None],
        excused=[f"{name}: {each.panel.title}: {each.panel.needs}" for name, each in empty if each.panel.needs],
    )


def _told(config: Config) -> Mapping[str, Any]:
    """Return what the running stack says of itself; nothing where none runs here, for Prometheus may run elsewhere."""
    try:
        found: Mapping[str, Any] = json.loads(description_file(config.state).read_text())
    except FileNotFoundError:
        return {}
    return found


def _have_wallets_ranked(config: Config, told: Mapping[str, Any]) -> None:
    """Ask the history for its most active wallets: the view of dashboards shows what somebody asked of late."""
    history = told.get("services", {}).get("transaction_history", {}).get("url")
    if history is None:
        raise NotAsked("no stack runs here: `make up OBSERVE=1` starts one")
    try:
        key = Credentials(config.state).key(Kind.SERVICE)
        asked = httpx2.get(
            history + _TOP_WALLETS,
            params={"window": "24h"},
            headers={"Authorization": f"Bearer {key.strip()}"},
            timeout=TIMEOUT_S,
        )
        asked.raise_for_status()
    except (httpx2.HTTPError, StackError) as error:
        raise NotAsked(f"the history does not rank its wallets ({error}): see `make status`") from error
