"""Shards are pinned for ever: a changed vector would send a wallet's next event to another stream."""

from collections import Counter
from uuid import RFC_4122, UUID

import pytest

from contracts.ids import SHARDS, home_shard, id_bytes_in, new_id, parse_id, partition_of, shard_of


@pytest.mark.parametrize(
    ("wallet_id", "shard"),
    [
        ("01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00", 0),
        ("01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e3f", 63),
        ("01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e40", 0),
        ("01936f5e-7c4e-7a30-8f6e-2b1f0c9d4eff", 63),
        ("01936f5e-7c4e-7a30-8f6e-2b1f0c9d4ea7", 39),
    ],
)
def test_a_wallet_never_changes_its_shard(wallet_id: str, shard: int) -> None:
    assert shard_of(UUID(wallet_id)) == shard


def test_partitions_must_divide_the_shards() -> None:
    assert {partition_of(shard, 16) for shard in range(SHARDS)} == set(range(16))
    with pytest.raises(AssertionError):
        partition_of(1, 48)


def test_an_id_is_read_in_its_canonical_form_only() -> None:
    made = new_id()

    assert parse_id(str(made)) == made
    assert parse_id(made.hex) is None
    assert parse_id("{" + str(made)[1:-1] + "}") is None
    assert parse_id(str(made).replace("-", "_")) is None


@pytest.mark.parametrize(
    ("group", "shard"), [("owner", 20), ("owner-1", 60), ("acct/1", 6), ("Ünïcode", 47), ("x" * 128, 9)]
)
def test_a_placement_group_has_one_shard_for_ever(group: str, shard: int) -> None:
    assert home_shard(UUID("01936f5e-7c4e-7a30-8f6e-000000000001"), group) == shard


def test_placement_groups_are_spread_over_the_shards() -> None:
    tenant_id = new_id()

    groups = Counter(home_shard(tenant_id, f"owner-{number}") for number in range(6_400))

    assert len(groups) == SHARDS
    assert max(groups.values()) < 200


@pytest.mark.parametrize("shard", [0, 1, 32, 63])
def test_an_id_is_made_in_a_shard(shard: int) -> None:
    made = [UUID(bytes=id_bytes_in(shard)) for _ in range(100)]

    assert {(shard_of(each), each.version, each.variant) for each in made} == {(shard, 7, RFC_4122)}
    assert len(set(made)) == 100
    assert made == sorted(made, key=lambda each: each.bytes[:6])
