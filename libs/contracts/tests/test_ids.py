"""Shards are pinned for ever: a changed vector would send a wallet's next event to another stream."""

from uuid import UUID

import pytest

from contracts.ids import SHARDS, new_id, parse_id, partition_of, shard_of


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
