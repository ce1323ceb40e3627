"""The ledger's clock is wrong for a moment: an hour ahead, then an hour behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import asyncpg
from tests.chaos.faults.overtaking import settled_at
from tests.chaos.load.client import HttpClient, Response
from tests.chaos.load.history import Command
from tests.chaos.load.workload import MIX
from tests.chaos.platform.plant import admin
from tests.chaos.run import Bite, Fault, Run

WRONG = timedelta(hours=1)
READ_ANEW_S = 1.2
"""Until then an instance reckons with its last reading of the clock."""
BATCHES_AFTERWARDS = 8
_INSTALL = """
    create schema chaos;
    grant usage on schema chaos to public;
    create table chaos.clock (ahead interval not null);
    insert into chaos.clock values ('0');
    grant select on chaos.clock to public;
    create function chaos.clock_timestamp() returns timestamptz language plpgsql volatile as
        'begin return pg_catalog.clock_timestamp() + (select ahead from chaos.clock); end';
    alter function wallet.read_rows_2 set search_path = chaos, pg_catalog;
    alter function wallet.lock_rows_2 set search_path = chaos, pg_catalog;
    alter function wallet.commit_rows_2 set search_path = chaos, pg_catalog"""
_STAMP_OTHERS: Final = frozenset({"hold", "settle", "refund"})
OF_THEIR_OWN: Final = {kind: weight for kind, weight in MIX.items() if kind not in _STAMP_OTHERS}
"""The load whose commands stamp nothing later: by a wrong clock, or where the fault looks for what that has stamped."""
_STAMPED_AHEAD = "select id::text from wallet.wallet where last_at > clock_timestamp() + interval '1 minute'"
_KEYS_AHEAD = "select key from wallet.idempotency where created_at > clock_timestamp() + interval '1 minute'"


@asynccontextmanager
async def clock_of_its_own(run: Run) -> AsyncIterator[None]:
    """Give the ledger's functions a clock that can be set."""
    async with admin(run.platform.databases["wallet"]) as connection:
        await connection.execute(_INSTALL)
    yield


async def set_wrong(run: Run) -> Bite:
    """F43: one wallet meets a clock an hour ahead at both instances; later another is opened an hour in the past."""
    bank = run.bank
    async with run.still(), admin(run.platform.databases["wallet"]) as clock:
        met = [await bank.open_wallet() for _ in bank.ports]
        async with wrong(clock, WRONG):
            await asyncio.sleep(READ_ANEW_S)
            stamped = [
                await settled_at(run, bank.deposit(wallet, 1), port)
                for wallet, port in zip(met, bank.ports, strict=True)
            ]
        refused = [await _asked(bank.deposit(wallet, 1), port) for wallet in met for port in bank.ports]
        for number in range(BATCHES_AFTERWARDS):
            await settled_at(run, bank.deposit(bank.wallets[number], 1), bank.ports[number % len(bank.ports)])
        async with wrong(clock, -WRONG):
            behind = [await _asked(bank.deposit(bank.wallets[0], 1), port) for port in bank.ports]
            late = await bank.open_wallet()
        await settled_at(run, bank.deposit(late, 1), bank.ports[0])
        taken_along = {row["id"] for row in await clock.fetch(_STAMPED_AHEAD)} - set(met)
        keys = {row["key"] for row in await clock.fetch(_KEYS_AHEAD)} - {done.command.key for done in stamped}
    return Bite(
        what=f"{len(stamped)} wallets stamped an hour ahead; {len(refused)} commands on them refused, "
        f"{len(behind)} while the clock was behind",
        count=len(stamped),
        recovery_s=0.0,
        breaches=[
            *(f"wallet {wallet} never met the wrong clock and is stamped by it" for wallet in sorted(taken_along)),
            *(f"key {key} will not expire in time" for key in sorted(keys)),
            *(
                f"a wallet ahead of the clock was answered {each.status} {each.body[:200]!r}"
                for each in (*refused, *behind)
                if each.status != 503 or each.json()["code"] != "wallet_ahead_of_clock"
            ),
        ],
    )


@asynccontextmanager
async def wrong(clock: asyncpg.Connection, ahead: timedelta) -> AsyncIterator[None]:
    """Set the ledger's clock wrong while the body runs."""
    await clock.execute("update chaos.clock set ahead = $1", ahead)
    try:
        yield
    finally:
        await clock.execute("update chaos.clock set ahead = '0'")


async def _asked(command: Command, port: int) -> Response:
    """Ask once and return the answer, which the history does not know: nothing may come of it."""
    client = HttpClient(port)
    try:
        return await client.request("POST", command.path, command.body, key=command.key)
    finally:
        client.close()


FAULTS = (
    Fault(
        id="F43",
        title="a clock an hour ahead for a moment, then an hour behind",
        inflict=set_wrong,
        beside=clock_of_its_own,
        mix=OF_THEIR_OWN,
    ),
)
