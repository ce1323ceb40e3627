"""What is shown to strangers: every form of an address that the drivers take, and every bit of a file's mode."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.exposure import (
    are_brokers_in_the_clear,
    has_known_password,
    is_database_in_the_clear,
    is_loopback,
    is_open_to_others,
)

HERE: Final = (
    "postgresql://app:x@127.0.0.1:5432/wallet",
    "postgresql://app:x@localhost/wallet",
    "postgresql://app:x@[::1]:5432/wallet",
    "postgresql://app:x@127.0.0.1:5432,127.0.0.2:5433/wallet",
    "postgresql:///wallet?host=/run/postgresql",
    "postgresql://app@%2Frun%2Fpostgresql/wallet",
    "postgresql://app@/wallet?host=localhost",
)
BEYOND: Final = (
    "postgresql://app:x@db.internal:5432/wallet",
    "postgresql://app:x@10.0.0.7/wallet",
    "postgresql://app:x@[fd00::7]:5432/wallet",
    "postgresql://app:x@127.0.0.1,db.internal/wallet",
    "postgresql://app:x@db.internal/wallet?sslmode=prefer",
    "postgresql://app:x@db.internal/wallet?sslmode=disable",
    "postgresql://app:x@db.internal/wallet?sslmode=require&sslmode=allow",
    "postgresql://app:x@db.internal@localhost/wallet",
    "postgresql://app:x@localhost.evil.example/wallet",
    "postgresql://app:x@db.internal/wallet?host=localhost",
    "postgresql:///wallet",
    "postgresql://app@/wallet",
    "postgresql://localhost/wallet?service=elsewhere",
    "postgresql://app@/wallet?host=db.internal",
)


@pytest.mark.parametrize("dsn", HERE)
def test_a_database_of_this_machine_needs_no_tls(dsn: str) -> None:
    assert not is_database_in_the_clear(dsn)


@pytest.mark.parametrize("dsn", BEYOND)
def test_a_database_elsewhere_without_certain_tls_is_in_the_clear(dsn: str) -> None:
    assert is_database_in_the_clear(dsn)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full", "verify_full"])
def test_a_database_elsewhere_with_tls_is_not(mode: str) -> None:
    assert not is_database_in_the_clear(f"postgresql://app:x@db.internal/wallet?sslmode={mode}")


@pytest.mark.parametrize(
    ("dsn", "known"),
    [
        ("postgresql://app:local@db/wallet", True),
        ("postgresql://app:l%6fcal@db/wallet", True),
        ("postgresql://app@db/wallet?password=local", True),
        ("postgresql://app:b6tLz5k2@db/wallet", False),
        ("postgresql://local@db/wallet", False),
        ("postgresql:///wallet", False),
    ],
)
def test_a_password_of_this_repository_is_known(dsn: str, *, known: bool) -> None:
    assert has_known_password(dsn) == known


@pytest.mark.parametrize(
    ("addresses", "clear"),
    [
        ("127.0.0.1:9092", False),
        ("localhost:9092,[::1]:9092", False),
        ("127.0.0.1:9092, broker:9092", True),
        ("broker", True),
        ("10.0.0.7:9092", True),
    ],
)
def test_brokers_elsewhere_need_tls(addresses: str, *, clear: bool) -> None:
    assert are_brokers_in_the_clear(addresses, has_tls=False) == clear
    assert not are_brokers_in_the_clear(addresses, has_tls=True)


@pytest.mark.parametrize("host", ["LOCALHOST", "127.9.9.9", "::1", "[::1]"])
def test_this_machine_has_several_names(host: str) -> None:
    assert is_loopback(host)


@given(mode=st.integers(0, 0o7777))
def test_a_secret_is_its_owners_and_read_by_its_group_at_most(mode: int) -> None:
    assert is_open_to_others(0o100_000 | mode) == (mode & 0o027 != 0)
