"""How fast the wallet's jobs are, beside what the write side makes for them."""

from dataclasses import dataclass
from typing import Final

import asyncpg
from tests.load.database import Bench, connected

from servicekit.clock import monotonic_s
from servicekit.maintenance import JobRun
from wallet.adapters import system_accounts_postgres
from wallet.adapters.forgetting_postgres import CHUNK_ROWS, KeyForgetting

DAYS: Final = 30
_OLD_KEYS: Final = """
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, shard, created_at)
    select uuidv7(), md5(n::text), 0, decode(md5(n::text), 'hex'), 201, decode(repeat('00', 600), 'hex'),
           n % 64, now() - interval '31 days' - make_interval(secs => n / 512)
      from generate_series(1, $1) n"""
_ALONE: Final = """
    update wallet.system_account_fold f
       set seq = case when f.shard = busiest.shard then 0 else h.seq end
      from (select shard from wallet.journal group by shard order by count(*) desc limit 1) busiest,
           (select shard, max(seq) as seq from wallet.journal group by shard) h
     where h.shard = f.shard"""


@dataclass(frozen=True, slots=True)
class Maintained:
    """Rows a second: keys forgotten, and journal rows of one busy shard folded."""

    forgotten_per_s: float
    folded_per_s: float


async def measure(bench: Bench, keys: int) -> Maintained:
    """Forget *keys* old records and fold the journal's busiest shard from its beginning."""
    async with connected(bench.database.dsn_admin) as admin, connected(bench.database.dsn_app) as app:
        await admin.execute(_OLD_KEYS, keys)
        forgotten_per_s = await _forget(app)
        await admin.execute(_ALONE)
        folded_per_s = await _fold(app)
    return Maintained(forgotten_per_s, folded_per_s)


async def _forget(connection: asyncpg.Connection) -> float:
    forgetting, run = KeyForgetting(DAYS), JobRun(connection, None)
    began_s, forgotten = monotonic_s(), 0
    while chunk := await forgetting.forget_chunk(run):
        forgotten += chunk
        if chunk < CHUNK_ROWS:
            break
    return forgotten / (monotonic_s() - began_s)


async def _fold(connection: asyncpg.Connection) -> float:
    began_s, folded = monotonic_s(), 0
    while chunk := await system_accounts_postgres.fold(connection):
        folded += chunk
    return folded / (monotonic_s() - began_s)
