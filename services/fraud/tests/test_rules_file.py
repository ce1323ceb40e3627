"""Rule files: what is valid is read, what is not is refused with its line."""

from pathlib import Path

import pytest

from contracts.decisions import DecisionOutcome
from fraud.config import packaged_rules
from fraud.domain.rules import RulesRefused, VelocityCount
from fraud.rules.file import BYTES_MAX, decoded, parse_rules

VALID = """version: 2026-11-1
rules:
  - name: burst
    type: velocity_count
    events: [sent]
    window: 1m
    max_count: 3
    outcome: block
    mode: live
    cool_down: 1h
"""


def refused(text: str) -> list[str]:
    with pytest.raises(RulesRefused) as error:
        parse_rules(text, source="rules.yaml")
    return str(error.value).splitlines()


def test_the_rules_that_come_with_the_service_are_valid() -> None:
    rules = parse_rules(packaged_rules().read_text(), source="default.yaml")

    assert "burst_of_debits" in {rule.name for rule in rules.rules}


@pytest.mark.parametrize("page", ["README.md", "docs/local-stack.md", "docs/benchmarks.md"])
def test_a_newcomer_is_told_which_rule_stops_a_load_test(page: str) -> None:
    rules = parse_rules(packaged_rules().read_text(), source="default.yaml").rules
    (burst,) = [rule for rule in rules if isinstance(rule, VelocityCount) and rule.outcome is DecisionOutcome.BLOCK]
    told = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")

    assert burst.window_us == 60_000_000
    assert f"{burst.count_max + 1}st" in told
    assert "FRAUD_SHADOW=true" in told


def test_the_version_tells_the_content_and_the_settings() -> None:
    versions = {
        parse_rules(VALID, source="a").version,
        parse_rules(VALID + "# a thought\n", source="a").version,
        parse_rules(VALID, source="a", time_compression=60).version,
        parse_rules(VALID, source="a", is_shadow=True).version,
    }

    assert len(versions) == 4
    assert all(version.startswith("2026-11-1+") for version in versions)


def test_durations_are_divided_by_the_compression() -> None:
    (rule,) = parse_rules(VALID, source="a", time_compression=60).rules

    assert isinstance(rule, VelocityCount)
    assert (rule.window_us, rule.cool_down_us) == (1_000_000, 60_000_000)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 2026-11-1", "", "rules.yaml:2: version: Field required"),
        ("version: 2026-11-1", "version: 'a b'", "rules.yaml:1: version: "),
        ("name: burst", "name: Burst!", "rules.yaml:3: rules[0].name: "),
        ("type: velocity_count", "type: gut_feeling", "rules.yaml:3: rules[0]: "),
        ("[sent]", "[sent, bought]", "rules.yaml:5: rules[0].events[1]: "),
        ("[sent]", "[sent, sent]", "rules.yaml:5: rules[0].events: each kind of event may be named once"),
        ("[sent]", "[]", "rules.yaml:5: rules[0].events: "),
        ("[sent]", "sent", "rules.yaml:5: rules[0].events: "),
        ("window: 1m", "window: -1m", "rules.yaml:6: rules[0].window: "),
        ("window: 1m", "window: 60", "rules.yaml:6: rules[0].window: "),
        ("window: 1m", "window: 8d", "rules.yaml:6: rules[0].window: a window is 1ms to 7d"),
        ("window: 1m", "window: [1m]", "rules.yaml:6: rules[0].window: "),
        ("max_count: 3", "max_count: 0", "rules.yaml:7: rules[0].max_count: "),
        ("max_count: 3", "max_count: many", "rules.yaml:7: rules[0].max_count: "),
        ("max_count: 3", "max_cuont: 3", "rules.yaml:7: rules[0].max_cuont: Extra inputs are not permitted"),
        ("outcome: block", "outcome: no", "rules.yaml:8: rules[0].outcome: "),
        ("mode: live", "mode: live\n    mode: live", "rules.yaml:10: mode: the key is repeated"),
        ("cool_down: 1h", "cool_down: 31d", "rules.yaml:10: rules[0].cool_down: "),
        ("cool_down: 1h", "cool_down: 1h\n    more: 1", "rules.yaml:11: rules[0].more: "),
        ("rules:", "rules: &all", "rules.yaml:2: anchors and tags are not allowed"),
        ("name: burst", "name: !!python/name:os.system", "rules.yaml:3: anchors and tags are not allowed"),
        ("name: burst", "name: [", "rules.yaml:5: "),
        ("name: burst", "name: \x07", "rules.yaml:3: a character that is not allowed in text"),
        ("rules:", "---", "rules.yaml:"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, told: str) -> None:
    lines = refused(VALID.replace(old, new, 1))

    assert any(line.startswith(told) for line in lines), lines


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ("{USD: '1.234'}", "rules[0].max_amount.USD: USD has at most 2 decimals."),
        ("{XXY: '1'}", "rules[0].max_amount.XXY: The currency is not"),
        ("{USD: '-1'}", "rules[0].max_amount.USD: "),
        ("{}", "rules[0].max_amount: "),
        ("'5'", "rules[0].max_amount: "),
    ],
)
def test_amounts_are_money(amounts: str, told: str) -> None:
    text = VALID.replace("velocity_count", "velocity_sum").replace("max_count: 3", f"max_amount: {amounts}")

    (line,) = refused(text)

    assert line.startswith(f"rules.yaml:7: {told}")


def test_two_rules_of_one_name_are_told_at_the_second() -> None:
    rule = VALID.partition("rules:\n")[2]

    assert refused(VALID + rule) == ["rules.yaml:11: rules[1].name: another rule is named burst too"]


def test_many_errors_are_told_at_once_in_the_order_of_their_lines() -> None:
    lines = refused(VALID.replace("1m", "soon").replace("live", "maybe").replace("version", "versoin"))

    assert [line.split(":")[1] for line in lines] == ["1", "1", "6", "9"]


def test_what_is_no_rule_file_at_all_is_refused() -> None:
    assert refused("")[0].startswith("rules.yaml:1: ")
    assert refused("- 1")[0].startswith("rules.yaml:1: ")
    assert refused("[" * 60_000) == ["rules.yaml:1: nested more than 8 deep"]
    assert refused("- " * 30_000) == ["rules.yaml:1: nested more than 8 deep"]


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(RulesRefused, match=r"rules\.yaml:2: not UTF-8"):
        decoded(b"version: a\nrules: \xff", source="rules.yaml")
    with pytest.raises(RulesRefused, match="larger than"):
        decoded(b" " * (BYTES_MAX + 1), source="rules.yaml")
