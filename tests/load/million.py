"""Transfers between wallets of which there are more than a committer remembers."""

from functools import partial
from uuid import UUID

from tests.load import committing
from tests.load.database import add_funded_wallets, make_room, wallet_template
from tests.load.series import Rate, Series

from engines.postgres import PostgresServer
from testkit.databases import Database
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.units import Unit


async def measure(running: PostgresServer, wallets: int, series: Series, *, rounds: int, seconds: float) -> None:
    """Add the rates with pipelining and on locked rows to *series*, on a database of its own with *wallets* wallets."""
    async with wallet_template(running).database() as database:
        ids = await add_funded_wallets(database.dsn_admin, committing.TENANT, wallets)
        for _ in range(rounds):
            await make_room(database.dsn_admin)
            for ahead in (True, False):
                rate = await _cell(database, ids, ahead=ahead, seconds=seconds)
                series.add(f"million {'ahead' if ahead else 'locked'}", rate)


async def _cell(database: Database, ids: list[UUID], *, ahead: bool, seconds: float) -> Rate:
    async with committing.committer(PostgresLedger(database.dsn_app), pipelining=ahead) as queue:
        return await committing.timed(queue, partial(_transfer, ids), seconds)


def _transfer(ids: list[UUID]) -> Unit:
    return committing.unit_of(committing.random_transfer(ids, hot=False))
