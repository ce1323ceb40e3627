"""What processes and the database show of what they hold: what a fault may have left behind."""

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from tests.chaos.platform.platform import Connections, Platform
from tests.chaos.platform.product import APIS

from wallet.adapters.ledger_postgres import COMMITTER
from wallet.application.committer import CommitterSettings

COMMITTERS_MAX = len(APIS) * (CommitterSettings().in_flight_max + 1)
"""A session for each batch in flight, and one that reads ahead."""
READERS = "wallet-api"
"""What a session of an API's pool is called in the database."""
_SESSIONS = """
    select application_name, count(*) as sessions from pg_stat_activity
    where datname = current_database() group by application_name"""


async def metric(platform: Platform, name: str, metric_name: str) -> float:
    """Return the sum of a metric that process *name* shows."""
    page = await platform.page(name, "/metrics")
    families = text_string_to_metric_families(page)
    samples = [each.value for family in families for each in family.samples if each.name == metric_name]
    assert samples, f"{name} shows no {metric_name}"
    return sum(samples)


async def counted(platform: Platform, name: str, metric_name: str, **labels: str) -> float:
    """Return a counter that process *name* shows under *labels*, 0 where it has counted nothing under them."""
    page = await platform.page(name, "/metrics")
    families = text_string_to_metric_families(page)
    samples = (each for family in families for each in family.samples if each.name == metric_name)
    return sum(each.value for each in samples if each.labels == labels)


async def open_files(platform: Platform) -> dict[str, float]:
    """Return how many files and sockets each API instance has open."""
    return {name: await metric(platform, name, "process_open_fds") for name in APIS}


async def sessions(connections: Connections) -> dict[str, int]:
    """Return how many sessions the wallet's database has, by what they call themselves."""
    rows = await connections["wallet"].fetch(_SESSIONS)
    return {row["application_name"]: row["sessions"] for row in rows}


async def leaks(platform: Platform) -> list[str]:
    """Return what the API instances still hold, of which nothing may stay when the load is over."""
    async with platform.connections() as connections:
        held = await sessions(connections)
    pooled = sum([await metric(platform, name, "db_pool_connections") for name in APIS])
    return [
        *_more("sessions of committers", held.get(COMMITTER, 0), COMMITTERS_MAX),
        *_unequal("sessions of the APIs' pools", held.get(READERS, 0), int(pooled)),
        *[breach for name in APIS for breach in await _queued(platform, name)],
    ]


async def _queued(platform: Platform, name: str) -> list[str]:
    queued = await metric(platform, name, "wallet_queue_commands")
    busy = await metric(platform, name, "db_pool_connections_busy")
    return [*_unequal(f"commands in the queue of {name}", int(queued), 0), *_unequal(f"busy of {name}", int(busy), 0)]


def _more(what: str, found: int, most: int) -> Iterator[str]:
    if found > most:
        yield f"{found} {what} are left, {most} are enough"


def _unequal(what: str, found: int, wanted: int) -> Iterator[str]:
    if found != wanted:
        yield f"{found} {what} are left, {wanted} should be"
