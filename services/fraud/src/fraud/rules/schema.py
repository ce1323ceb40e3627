"""What a rule file has to hold, key by key. Every scalar comes as text."""

import re
from fractions import Fraction
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.money import MoneyError, parse_limit_minor
from fraud.domain.debit_stats import HORIZON_US
from fraud.domain.rules import AmountRatio, AmountZ, AnyRule, VelocityCount, VelocitySum
from fraud.domain.wallet_events import Kind

RULES_MAX: Final = 100
_FACTOR_MAX: Final = Fraction(1_000_000)
_COUNT_MAX: Final = 1_000_000
_UNITS_US: Final = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_COOL_DOWN_US_MAX: Final = 30 * _UNITS_US["d"]
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,4})?", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def _duration_us(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("duration", "a whole number with its unit is needed: 500ms, 90s, 10m, 24h or 7d")
    return int(match[1]) * _UNITS_US[match[2]]


def _factor(value: object) -> Fraction:
    if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
        raise PydanticCustomError("factor", "a positive decimal number such as 8 or 2.5 is needed")
    return Fraction(value)


def _whole(value: object) -> int:
    if not isinstance(value, str) or _WHOLE.fullmatch(value) is None:
        raise PydanticCustomError("whole", "a whole number without a sign is needed")
    return int(value)


def _amounts_minor(values: dict[str, str]) -> dict[str, int]:
    amounts = {}
    for currency, amount in values.items():
        try:
            amounts[currency] = parse_limit_minor(amount, currency)
        except MoneyError as error:
            raise PydanticCustomError("amount", "{detail}", {"detail": error.detail, "key": currency}) from None
    return amounts


def _in(low: float | Fraction, high: float | Fraction, what: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise PydanticCustomError("range", "{what}", {"what": what})
        return value

    return AfterValidator(check)


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "each kind of event may be named once")
    return values


Window = Annotated[int, BeforeValidator(_duration_us), _in(1_000, HORIZON_US, "a window is 1ms to 7d")]
CoolDown = Annotated[int, BeforeValidator(_duration_us), _in(0, _COOL_DOWN_US_MAX, "a cool-down is at most 30d")]
Factor = Annotated[Fraction, BeforeValidator(_factor), _in(Fraction(1, 10_000), _FACTOR_MAX, "more than 0 is needed")]
Count = Annotated[int, BeforeValidator(_whole), _in(1, _COUNT_MAX, f"1 to {_COUNT_MAX:,} is allowed")]
History = Annotated[int, BeforeValidator(_whole), _in(2, _COUNT_MAX, f"2 to {_COUNT_MAX:,} is allowed")]
Amounts = Annotated[dict[str, str], Field(min_length=1), AfterValidator(_amounts_minor)]
Kinds = Annotated[list[Literal["sent", "withdrawn", "held"]], Field(min_length=1), AfterValidator(_distinct)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _RuleModel(_Model):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
    events: Kinds
    outcome: Literal["allow", "review", "hold", "block"]
    mode: Literal["live", "shadow"]
    cool_down: CoolDown

    def common(self) -> dict[str, Any]:
        """Return what every rule of the domain has."""
        return {
            "name": self.name,
            "kinds": frozenset(map(Kind, self.events)),
            "outcome": DecisionOutcome(self.outcome),
            "mode": DecisionMode(self.mode),
            "cool_down_us": self.cool_down,
        }


class _VelocityCountModel(_RuleModel):
    type: Literal["velocity_count"]
    window: Window
    max_count: Count

    def rule(self) -> AnyRule:
        return VelocityCount(**self.common(), window_us=self.window, count_max=self.max_count)


class _VelocitySumModel(_RuleModel):
    type: Literal["velocity_sum"]
    window: Window
    max_amount: Amounts

    def rule(self) -> AnyRule:
        return VelocitySum(
            **self.common(), window_us=self.window, sum_minor_max=cast("dict[str, int]", self.max_amount)
        )


class _AmountModel(_RuleModel):
    min_history: History
    min_amount: Amounts

    def common(self) -> dict[str, Any]:
        return {**super().common(), "history_min": self.min_history, "amount_minor_min": self.min_amount}


class _AmountRatioModel(_AmountModel):
    type: Literal["amount_ratio"]
    max_ratio: Factor

    def rule(self) -> AnyRule:
        return AmountRatio(**self.common(), factor_max=self.max_ratio)


class _AmountZModel(_AmountModel):
    type: Literal["amount_z"]
    max_z: Factor

    def rule(self) -> AnyRule:
        return AmountZ(**self.common(), factor_max=self.max_z)


_AnyRuleModel = Annotated[
    _VelocityCountModel | _VelocitySumModel | _AmountRatioModel | _AmountZModel, Field(discriminator="type")
]


class RulesModel(_Model):
    """A rule file."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
    rules: Annotated[list[_AnyRuleModel], Field(max_length=RULES_MAX)]
