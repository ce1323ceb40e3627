"""The verifier's reads of what was counted under limits."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from contracts.ids import SHARDS, shard_of
from servicekit.postgres import Connection
from wallet.domain.limits import read_usages
from wallet.domain.owners import OWNER, Owner
from wallet.domain.policy import POLICY, Policy
from wallet.maintenance.journal_reads import ROWS_PER_READ
from wallet.maintenance.verify import Report
from wallet.maintenance.verify_usage import COUNTED, CountedRow, Tally, UsageFold, tallies

_NOW: Final = "select clock_timestamp()"
_WALLETS: Final = "select id, usage from wallet.wallet where usage is not null"
_OWNERS: Final = f"""
    select s.tenant_id, s.body, p.body as policy
      from wallet.state s join wallet.state p on p.kind = {POLICY.number} and p.tenant_id = s.tenant_id
     where s.kind = {OWNER.number}"""
_WALLETS_OF: Final = "select id, currency from wallet.wallet where tenant_id = $1 and owner_id = $2"
# Where a shard's journal was archived, its first row that is here; null where all of it is.
_SINCE: Final = """
    select f.shard, (select j.occurred_at from wallet.journal j where j.shard = f.shard order by j.seq limit 1)
      from (select distinct shard from wallet.archive_end) f"""
_ROWS: Final = f"""
    select seq, account_id, type, occurred_at, payload from wallet.journal
     where shard = $1 and seq > $2 and occurred_at >= $3 and type in {COUNTED} and account_id = any ($4)
     order by seq limit {ROWS_PER_READ}"""
_owner: Final = msgspec.json.Decoder(Owner)
_policy: Final = msgspec.json.Decoder(Policy)


async def verify_usage(connection: Connection, report: Report) -> None:
    """Count every window that still runs again, and compare."""
    now = await connection.fetchval(_NOW)
    since: dict[int, datetime | None] = {row[0]: row[1] or now for row in await connection.fetch(_SINCE)}
    wanted: dict[UUID, list[Tally]] = {}
    for row in await connection.fetch(_WALLETS):
        found = tallies(f"wallet {row['id']}", read_usages(row["usage"]), now=now, since=since.get(shard_of(row["id"])))
        if found:
            wanted.setdefault(row["id"], []).extend(found)
    await _add_owners(connection, wanted, now=now, since=since)
    if not wanted:
        return
    fold = UsageFold(wanted)
    all_of_them = [tally for each in wanted.values() for tally in each]
    first_at = min(tally.window.began_at for tally in all_of_them)
    for shard in range(SHARDS):
        await _count_shard(connection, shard, first_at, [each for each in wanted if shard_of(each) == shard], fold)
    for tally in {id(tally): tally for tally in all_of_them}.values():
        tally.compare(report)


async def _add_owners(
    connection: Connection, wanted: dict[UUID, list[Tally]], *, now: datetime, since: dict[int, datetime | None]
) -> None:
    for row in await connection.fetch(_OWNERS):
        owner, counted_since = _owner.decode(row["body"]), _policy.decode(row["policy"]).owners_counted_since
        usages = [each for each in owner.usage if counted_since is not None and each.since >= counted_since]
        if not usages:
            continue
        wallets = await connection.fetch(_WALLETS_OF, row["tenant_id"], owner.owner_id)
        begun = _latest(since.get(shard_of(each["id"])) for each in wallets)
        for usage in usages:
            found = tallies(f"owner {owner.owner_id}", [usage], now=now, since=begun)
            for each in wallets:
                if found and each["currency"] == usage.currency:
                    wanted.setdefault(each["id"], []).extend(found)


async def _count_shard(
    connection: Connection, shard: int, first_at: datetime, wallets: list[UUID], fold: UsageFold
) -> None:
    after = 0
    while wallets and (rows := await connection.fetch(_ROWS, shard, after, first_at, wallets)):
        for row in rows:
            fold.add(CountedRow(row["account_id"], row["type"], row["occurred_at"], row["payload"]))
        after = rows[-1]["seq"]


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((each for each in times if each is not None), default=None)
