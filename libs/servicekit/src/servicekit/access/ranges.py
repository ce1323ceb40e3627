"""Address ranges that a key may be used from. Pure."""

import re
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Final

from servicekit.client_address import Address, Network, unmapped

RANGES_MAX: Final = 20
RANGE_CHARACTERS_MAX: Final = 49
"""Eight groups of four digits, and a prefix."""

_RANGE: Final = re.compile(r"[0-9A-Fa-f.:]+(?:/(?:0|[1-9][0-9]{0,2}))?", re.ASCII)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class RangeRefusal(StrEnum):
    """Why a range is refused."""

    TOO_MANY = "range_too_many"
    MALFORMED = "range_malformed"
    ZONE = "range_zone"
    HOST_BITS = "range_host_bits"
    MAPPED = "range_mapped"
    EVERYWHERE = "range_everywhere"


class RangeRefused(ValueError):
    """A list of ranges is refused for the one at *index* (0 where they are too many)."""

    def __init__(self, refusal: RangeRefusal, index: int, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.index = index
        self.detail = detail


def parse_ranges(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that *texts* write (`192.0.2.0/24`, `2001:db8::/32`, or one address), each once, in order.

    Raises RangeRefused for more than 20, and for a range with host bits set, a zone, IPv4-mapped addresses in it, or
    every address in it: whoever wants no restriction gives no range.
    """
    if len(texts) > RANGES_MAX:
        raise RangeRefused(RangeRefusal.TOO_MANY, 0, f"There are at most {RANGES_MAX} ranges.")
    return tuple(dict.fromkeys(_network(text, index) for index, text in enumerate(texts)))


def is_within(address: Address, ranges: Sequence[Network]) -> bool:
    """Tell whether *address* is in one of *ranges*; an IPv4-mapped one counts as the IPv4 address it is."""
    plain = unmapped(address)
    return any(plain in network for network in ranges)


def _network(text: str, index: int) -> Network:
    if "%" in text:
        raise RangeRefused(RangeRefusal.ZONE, index, "A range has no zone.")
    if len(text) > RANGE_CHARACTERS_MAX or _RANGE.fullmatch(text) is None:
        raise _malformed(index)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise _malformed(index) from None
    if network.prefixlen == 0:
        raise RangeRefused(RangeRefusal.EVERYWHERE, index, "A range of every address restricts nothing: give none.")
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED):
        raise RangeRefused(RangeRefusal.MAPPED, index, "Write IPv4 addresses as such, not as mapped IPv6 ones.")
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise RangeRefused(RangeRefusal.HOST_BITS, index, f"Bits beyond the prefix are set; the network is {network}.")
    return network


def _malformed(index: int) -> RangeRefused:
    return RangeRefused(RangeRefusal.MALFORMED, index, "A range is an address, or an address and a prefix in bits.")
