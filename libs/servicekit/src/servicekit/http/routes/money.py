"""Money in answers that pydantic makes: `contracts.money.Money` says what it is."""

from typing import Self

from pydantic import BaseModel

from contracts.money import money


class MoneyBody(BaseModel):
    """An amount: a decimal string with all of the currency's decimals."""

    amount: str
    currency: str

    @classmethod
    def of(cls, amount_minor: int, currency: str) -> Self:
        """Return an amount of minor units as a client sees it."""
        body = money(amount_minor, currency)
        return cls(amount=body.amount, currency=body.currency)
