"""A FastAPI application that only reads and writes the bodies of `POST /v1/transfers`: `python -m tests.load.echo`.

What FastAPI with pydantic costs before anything is done: no middleware, no telemetry, no database. It is served as the
product's APIs are, by the same server with the same flags.
"""

import sys
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from contracts.ids import new_id
from servicekit.lifecycle import Shutdown, run
from servicekit.serving import serve_http
from servicekit.settings import ServiceSettings

CREATED_AT = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


class EchoSettings(ServiceSettings):
    """Where the echo listens."""

    echo_port: int


class Money(BaseModel):
    """An amount."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$")]
    currency: Annotated[str, Field(min_length=3, max_length=3)]


class TransferRequest(BaseModel):
    """The request as the wallet's API takes it."""

    model_config = ConfigDict(extra="forbid")

    source_wallet_id: UUID
    destination_wallet_id: UUID
    amount: Money
    reference: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    description: Annotated[str | None, Field(max_length=500)] = None
    metadata: dict[str, str] | None = None


class SignedMoney(BaseModel):
    """An entry's amount."""

    amount: str
    currency: str


class Entry(BaseModel):
    """A transaction's entry."""

    amount: SignedMoney
    wallet_id: UUID
    balance_after: SignedMoney
    version: int


class Transaction(BaseModel):
    """The answer as the wallet's API gives it."""

    id: UUID
    type: str
    status: str
    amount: Money
    entries: list[Entry]
    refunded: Money
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    destination: str | None
    created_at: datetime


app = FastAPI()


@app.post("/v1/transfers", status_code=201)
async def transfer(request: TransferRequest) -> Transaction:
    """Answer a transfer that was not made."""
    amount, currency = request.amount.amount, request.amount.currency
    return Transaction(
        id=new_id(),
        type="transfer",
        status="posted",
        amount=request.amount,
        entries=[
            _entry(request.source_wallet_id, f"-{amount}", currency),
            _entry(request.destination_wallet_id, amount, currency),
        ],
        refunded=Money(amount="0", currency=currency),
        reference=request.reference,
        description=request.description,
        metadata=request.metadata,
        destination=None,
        created_at=CREATED_AT,
    )


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    """Tell that requests are taken."""
    return {"status": "ok"}


def _entry(wallet_id: UUID, amount: str, currency: str) -> Entry:
    money = SignedMoney(amount=amount, currency=currency)
    return Entry(amount=money, wallet_id=wallet_id, balance_after=money, version=1)


async def _serve(settings: EchoSettings, shutdown: Shutdown) -> None:
    await serve_http(app, host=settings.host, port=settings.echo_port, shutdown=shutdown, drain_s=settings.drain_s)


def main() -> int:
    """Run the process; return its exit code."""
    settings = EchoSettings()
    return run(lambda shutdown: _serve(settings, shutdown), drain_s=settings.drain_s)


if __name__ == "__main__":
    sys.exit(main())
