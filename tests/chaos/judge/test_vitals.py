"""What may be left behind is left alone, and each thing that may not is found."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.chaos.judge import vitals
from tests.chaos.judge.vitals import COMMITTERS_MAX
from tests.chaos.platform.platform import Platform
from tests.chaos.platform.product import APIS

from wallet.adapters.ledger_postgres import COMMITTER

QUIET = {
    "wallet_queue_commands": 0,
    'db_pool_connections{pool="reads"}': 5,
    'db_pool_connections{pool="writes"}': 2,
    'db_pool_connections_busy{pool="reads"}': 0,
    "process_open_fds": 30,
}
POOLED = 7 * len(APIS)


@dataclass
class Shown:
    """A platform of which only that can be seen which was put here."""

    sessions: Mapping[str, int]
    samples: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: dict.fromkeys(APIS, QUIET))

    async def page(self, name: str, path: str) -> str:
        assert path == "/metrics"
        return "".join(f"{sample} {value}\n" for sample, value in self.samples[name].items())

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Any]:
        yield {"wallet": self}

    async def fetch(self, _statement: str) -> list[dict[str, Any]]:
        return [{"application_name": name, "sessions": count} for name, count in self.sessions.items()]


def platform(*, committers: int = COMMITTERS_MAX, readers: int = POOLED, **changes: int) -> Platform:
    """Return a platform at rest, with *changes* of what its first API instance shows."""
    samples = dict.fromkeys(APIS, QUIET) | {APIS[0]: QUIET | changes}
    return cast("Platform", Shown({COMMITTER: committers, vitals.READERS: readers, "psql": 9}, samples))


@pytest.mark.parametrize("committers", [0, COMMITTERS_MAX])
async def test_a_platform_at_rest_has_no_leak(committers: int) -> None:
    assert await vitals.leaks(platform(committers=committers)) == []


@pytest.mark.parametrize(
    ("leaky", "told"),
    [
        (platform(committers=COMMITTERS_MAX + 1), f"{COMMITTERS_MAX + 1} sessions of committers"),
        (platform(readers=POOLED + 1), f"{POOLED + 1} sessions of the APIs' pools are left, {POOLED} should be"),
        (platform(readers=POOLED - 1), f"{POOLED - 1} sessions of the APIs' pools are left, {POOLED} should be"),
        (platform(wallet_queue_commands=1), f"1 commands in the queue of {APIS[0]}"),
        (platform(db_pool_connections_busy=1), f"1 busy of {APIS[0]}"),
    ],
)
async def test_each_leak_is_found(leaky: Platform, told: str) -> None:
    (found,) = await vitals.leaks(leaky)

    assert found.startswith(told)


async def test_open_files_are_told_by_instance() -> None:
    shown = platform(process_open_fds=31)

    assert await vitals.open_files(shown) == {name: 31 if name == APIS[0] else 30 for name in APIS}


async def test_a_metric_that_is_not_shown_is_no_zero() -> None:
    with pytest.raises(AssertionError, match="shows no db_pool"):
        await vitals.metric(cast("Platform", Shown({}, {APIS[0]: {}})), APIS[0], "db_pool_connections")
