"""Play a random mix of every command and prove what is left: `python -m tests.mix [--operations 200000] [--seed 1]`.

Players of tenants of their own give commands over HTTP to two API instances, alone and in batches, and repeat them,
while holds expire and policies change. A model that shares no code with the product judges every answer. Then the
ledger is verified and rebuilt, and the history rebuilt, before and after a part of the journal is archived.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import UUID

import httpx2
from tests.chaos.platform.platform import Platform, Site, open_platform, open_site
from tests.mix import exchange, proving
from tests.mix.playing import Player

from contracts.ids import SHARDS, new_id, shard_of
from contracts.scopes import Kind
from engines import accounts, temporary
from engines.ports import LOOPBACK
from servicekit.clock import monotonic_s, utc_now
from testkit.identities import introduce, make_test_key, rates_event, tenant_event

OPERATIONS: Final = 200_000
LONG: Final = OPERATIONS // 10
"""So many commands meet everything that may happen."""
PLAYERS: Final = 12
WIDTH: Final = 16
"""How many numbers a partition of the journal has; four times as many in a long run."""
TIMEOUT_S: Final = 30.0
RATE: Final = (1_000_000, 2_000_000)
SWEEP_EVERY_S: Final = "0.2"
ACCESS_STALE_S: Final = "86400"
"""Nobody tells that identities stay as they are while the mix is played."""
ERRORS_MAX: Final = 3
_ERROR: Final = '"level":"error"'


def main() -> int:
    """Play and prove; return 0 if every answer and all that is left is right."""
    parser = argparse.ArgumentParser(prog="python -m tests.mix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    with temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder, open_site(folder) as site:
        return asyncio.run(_run(site, arguments.operations, arguments.seed))


async def _run(site: Site, operations: int, seed: int) -> int:
    rates = site.folder / "rates.json"
    rates.write_text(exchange.document(utc_now()))
    env = {
        "WALLET_SWEEP_EVERY_S": SWEEP_EVERY_S,
        "WALLET_RATES_URL": rates.as_uri(),
        "WALLET_RATES_FORMAT": "json",
        "ACCESS_STALE_S": ACCESS_STALE_S,
    }
    async with open_platform(site, "mix", env=env) as platform:
        database = platform.databases["wallet"]
        width = WIDTH if operations < LONG else 4 * WIDTH
        await proving.narrow_partitions(database.dsn_owner, width)
        async with _players(platform, seed) as players:
            await _fill(players[0], width)
            try:
                await _play(players, operations)
            except ExceptionGroup:
                print(*_errors(platform), sep="\n")
                raise
        await proving.prove(platform)
        await proving.archive(platform)
        await proving.prove(platform)
    return 0


def _errors(platform: Platform) -> list[str]:
    """Return the last errors that each API has logged."""
    logs = [platform.log(f"api-{number}") for number, _ in enumerate(platform.api_ports, 1)]
    return [line for log in logs for line in [each for each in log.splitlines() if _ERROR in each][-ERRORS_MAX:]]


async def _play(players: Sequence[Player], operations: int) -> None:
    began_s = monotonic_s()
    async with asyncio.TaskGroup() as group:
        for player in players:
            group.create_task(player.play(operations // len(players)))
    for player in players:
        await player.settle()
    played, seconds = sum(each.played for each in players), monotonic_s() - began_s
    done, refused = Counter[str](), Counter[str]()
    for player in players:
        done, refused = done + player.done, refused + player.refused
    print(f"{played:,} commands, {refused.total():,} of them refused as the model says, in {seconds:.0f} s")
    for counts in (done, refused):
        print(", ".join(f"{name} {times:,}" for name, times in counts.most_common()))
    never = await _kinds(players[0]) - done.keys()
    assert operations < LONG or not never, f"never carried out: {never}"


async def _kinds(player: Player) -> set[str]:
    """Return the kind of every command that the API takes, as its document tells."""
    answer = await player.instances[0].get("/openapi.json")
    schemas = answer.json()["components"]["schemas"].values()
    kinds = [schema.get("properties", {}).get("type", {}).get("enum", []) for schema in schemas]
    return {kind for each in kinds if len(each) == 1 for kind in each}


@asynccontextmanager
async def _players(platform: Platform, seed: int) -> AsyncIterator[list[Player]]:
    """Give the players, each of a tenant of its own that has wallets in every shard between them."""
    dsn = platform.databases["wallet"].dsn_app
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        instances = [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=TIMEOUT_S))
            for port in platform.api_ports
        ]
        players = []
        for number in range(PLAYERS):
            tenant_id = new_id()
            key = make_test_key(Kind.OPERATOR, tenant_id=tenant_id)
            rates = rates_event({"tenant": RATE, "operator": RATE, "wallet": RATE}, tenant_id)
            await introduce(dsn, tenant_event(tenant_id), rates, *key.events())
            of_player = random.Random(chance.getrandbits(64))
            players.append(Player(f"{seed}-{number}", instances, key.headers, of_player))
        yield players


async def _fill(player: Player, width: int) -> None:
    """Give every shard *width* rows of a wallet, so that a partition of the journal comes to its end."""
    shards: set[int] = set()
    while len(shards) < SHARDS:
        opened = await player.open_elsewhere()
        if (shard := shard_of(UUID(opened))) not in shards:
            shards.add(shard)
            await player.deposit_elsewhere(opened, width)


if __name__ == "__main__":
    sys.exit(main())
