"""Money in answers that pydantic makes is the money of contracts."""

import msgspec

from contracts.money import Money, money
from servicekit.http.routes.money import MoneyBody


def test_both_say_the_same() -> None:
    body = MoneyBody.of(-1_234, "USD")

    assert tuple(MoneyBody.model_fields) == Money.__struct_fields__
    assert body.model_dump() == msgspec.structs.asdict(money(-1_234, "USD"))
