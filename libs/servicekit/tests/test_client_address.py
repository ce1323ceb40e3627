"""Whose request it is: what our own proxies said, and nothing that a client wrote."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.client_address import (
    HOPS_MAX,
    TRUSTED_MAX,
    UNKNOWN,
    Clients,
    bucket_of,
    client_address,
    parse_address,
    trusted_proxies,
)

TRUSTED = trusted_proxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])
PROXY = "10.1.2.3"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", [b"1.2.3.4"], "198.51.100.1"),  # nobody of ours wrote it
        (PROXY, [], PROXY),
        (PROXY, [b"1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"9.9.9.9, 1.2.3.4"], "1.2.3.4"),  # the leftmost hop is the client's own word
        (PROXY, [b"10.0.0.1, 1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"9.9.9.9, 1.2.3.4, 10.0.0.9"], "1.2.3.4"),
        (PROXY, [b"9.9.9.9", b"1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"1.2.3.4", b"10.0.0.9"], "1.2.3.4"),
        (PROXY, [b"10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        (PROXY, [b"1.2.3.4, nonsense"], PROXY),
        (PROXY, [b"1.2.3.4, nonsense, 10.0.0.9"], "10.0.0.9"),
        (PROXY, [b"1.2.3.4,"], PROXY),
        (PROXY, [b""], PROXY),
        (PROXY, [b",,,"], PROXY),
        (PROXY, [b"1.2.3.4:443"], "1.2.3.4"),
        (PROXY, [b"[2001:db8::1]:443"], "2001:db8::1"),
        (PROXY, [b"[2001:db8::1]"], "2001:db8::1"),
        (PROXY, [b"2001:db8::1"], "2001:db8::1"),
        (PROXY, [b"::ffff:1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"1.2.3.4, ::ffff:10.0.0.9"], "1.2.3.4"),
        ("::ffff:10.1.2.3", [b"1.2.3.4"], "1.2.3.4"),
        ("fd00::1%eth0", [b"1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"\xff\xfe"], PROXY),
        (PROXY, [b"0" * 65_536], PROXY),
        (PROXY, [b"9.9.9.9," * 8_192 + b" 1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"9.9.9.9," * 8_192, b"1.2.3.4"], "1.2.3.4"),
        (PROXY, [b"9.9.9.9,", *[b"10.0.0.1"] * (HOPS_MAX + 5)], "10.0.0.1"),
        (PROXY, [b"x" * 65_536 + b", 1.2.3.4"], "1.2.3.4"),
        ("192.0.2.7", [b"1.2.3.4"], "1.2.3.4"),
        ("192.0.2.8", [b"1.2.3.4"], "192.0.2.8"),
        (None, [b"1.2.3.4"], str(UNKNOWN)),
        ("", [b"1.2.3.4"], str(UNKNOWN)),
        ("@", [], str(UNKNOWN)),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_ours(peer: str | None, forwarded: list[bytes], expected: str) -> None:
    clients = Clients(TRUSTED)

    assert client_address(peer, forwarded, TRUSTED) == ip_address(expected)
    for _ in range(2):  # read, and remembered
        client = clients.client(peer, tuple(forwarded))
        assert client == (ip_address(expected), bucket_of(ip_address(expected)))


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_a_client_writes_it_cannot_be_another(forged: list[bytes]) -> None:
    forwarded = [*forged[:-1], forged[-1] + b", 1.2.3.4"] if forged else [b"1.2.3.4"]

    assert client_address(PROXY, forwarded, TRUSTED) == ip_address("1.2.3.4")
    assert client_address("198.51.100.1", forged, TRUSTED) == ip_address("198.51.100.1")


NO_ADDRESSES = [
    *("", "unknown", "_hidden", "1.2.3", "01.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "1.2.3.4%eth0"),
    *("[1.2.3.4]", "[::1", "::1]", "[]", '"1.2.3.4"', "1.2.3.4\n", "\uff11.2.3.4", "::1%" + "z" * 64),
]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_a_zone_makes_no_other_address() -> None:
    assert parse_address("fe80::1%eth0") == parse_address("[fe80::1%25eth1]:80") == ip_address("fe80::1")


def test_a_bucket_is_an_address_or_a_subscribers_64() -> None:
    first, second, other = (ip_address(f"2001:db8:1:{part}") for part in ("2::1", "2:ffff::", "3::1"))

    assert bucket_of(ip_address("1.2.3.4")) == bytes([1, 2, 3, 4])
    assert bucket_of(first) == bucket_of(second) != bucket_of(other)
    assert len(bucket_of(first)) == 8


NOT_TO_BE_TRUSTED = ["10.0.0.1/8", "0.0.0.0/0", "::/0", "fe80::%eth0/64", "::ffff:10.0.0.0/104", "proxy"]


@pytest.mark.parametrize("networks", [*([each] for each in NOT_TO_BE_TRUSTED), ["10.0.0.0/8"] * (TRUSTED_MAX + 1)])
def test_what_must_not_be_trusted_is_refused(networks: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        trusted_proxies(networks)
