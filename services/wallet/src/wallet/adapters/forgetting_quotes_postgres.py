"""Quotes that nobody used, deleted when their time is over, in lots."""

from typing import Final

from servicekit.maintenance import JobRun

LOT_MAX: Final = 512
_FORGET: Final = "select wallet.forget_quotes($1)"


async def forget_quotes(run: JobRun) -> int:
    """Delete one lot; return how many quotes that were."""
    async with run.transaction() as tx:
        gone: int = await tx.connection.fetchval(_FORGET, LOT_MAX)
    return gone
