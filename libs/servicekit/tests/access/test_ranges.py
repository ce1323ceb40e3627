"""Address ranges of keys."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.access.ranges import RangeRefusal, RangeRefused, is_within, parse_ranges


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", RangeRefusal.MALFORMED),
        ("10.0.0.0/33", RangeRefusal.MALFORMED),
        ("10.0.0.0/255.0.0.0", RangeRefusal.MALFORMED),
        ("10.0.0.0/08", RangeRefusal.MALFORMED),
        ("10.0.0/8", RangeRefusal.MALFORMED),
        ("010.0.0.0/8", RangeRefusal.MALFORMED),
        ("0x0a.0.0.0/8", RangeRefusal.MALFORMED),
        ("167772160/8", RangeRefusal.MALFORMED),
        ("10.0.0.0/8 ", RangeRefusal.MALFORMED),
        ("10.0.0.0/", RangeRefusal.MALFORMED),
        ("10.0.0.0/-1", RangeRefusal.MALFORMED),
        ("\u0661.0.0.0/8", RangeRefusal.MALFORMED),
        ("example.com", RangeRefusal.MALFORMED),
        ("2001:db8::/129", RangeRefusal.MALFORMED),
        ("a" * 1_000, RangeRefusal.MALFORMED),
        ("10.1.0.0/8", RangeRefusal.HOST_BITS),
        ("2001:db8::1/32", RangeRefusal.HOST_BITS),
        ("fe80::1%eth0", RangeRefusal.ZONE),
        ("fe80::%1/64", RangeRefusal.ZONE),
        ("::ffff:10.0.0.0/104", RangeRefusal.MAPPED),
        ("::ffff:a00:1", RangeRefusal.MAPPED),
        ("::/64", RangeRefusal.MAPPED),
        ("0.0.0.0/0", RangeRefusal.EVERYWHERE),
        ("::/0", RangeRefusal.EVERYWHERE),
        ("10.1.2.3/0", RangeRefusal.EVERYWHERE),
    ],
)
def test_a_range_that_is_none_is_refused(text: str, refusal: RangeRefusal) -> None:
    with pytest.raises(RangeRefused) as refused:
        parse_ranges(["10.0.0.0/8", text])

    assert (refused.value.refusal, refused.value.index) == (refusal, 1)


def test_there_are_at_most_twenty() -> None:
    assert len(parse_ranges([f"10.0.{n}.0/24" for n in range(20)])) == 20
    with pytest.raises(RangeRefused) as refused:
        parse_ranges([f"10.0.{n}.0/24" for n in range(21)])

    assert refused.value.refusal is RangeRefusal.TOO_MANY


def test_ranges_are_written_in_one_way_and_each_once() -> None:
    found = parse_ranges(["192.0.2.7", "2001:DB8:0::/32", "192.0.2.7/32", "10.0.0.0/8"])

    assert [str(each) for each in found] == ["192.0.2.7/32", "2001:db8::/32", "10.0.0.0/8"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("::10.0.0.1", False),
    ],
)
def test_an_address_is_within_its_range_alone(address: str, expected: bool) -> None:  # noqa: FBT001
    assert is_within(ip_address(address), parse_ranges(["10.0.0.0/8", "2001:db8::/32"])) is expected
    assert not is_within(ip_address(address), [])


@given(st.ip_addresses(v=4), st.integers(1, 32), st.ip_addresses(v=4))
def test_a_network_holds_what_its_prefix_says(base: object, prefix: int, address: object) -> None:
    network = ip_network(f"{base}/{prefix}", strict=False)
    (parsed,) = parse_ranges([str(network)])

    shift = 32 - prefix
    expected = int(ip_address(str(address))) >> shift == int(network.network_address) >> shift
    assert is_within(ip_address(str(address)), [parsed]) is expected


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        (network,) = parse_ranges([text])
    except RangeRefused:
        return
    assert network.prefixlen > 0
