"""What answers say of wallets that they lack."""

from pydantic import BaseModel

from transaction_history.reads.view import Parked


class ParkedBody(BaseModel):
    """The tenant's wallets that the answer lacks, because their events cannot be read: how many, and the first ten."""

    count: int
    wallet_ids: list[str]


def parked_body(parked: Parked) -> ParkedBody:
    """Return what an answer says of the wallets that it lacks."""
    return ParkedBody(count=parked.count, wallet_ids=[str(wallet_id) for wallet_id in parked.wallet_ids])
