"""Which addresses a request that a stranger asked for may go to: those of the public internet alone. Pure.

The standard library's `is_global` is not enough: it accepts NAT64 and 6to4 forms of private addresses.
"""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address


class Forbidden(StrEnum):
    """Why an address is refused."""

    UNSPECIFIED = "unspecified"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link_local"
    MULTICAST = "multicast"
    TRANSLATED = "translated"
    """It stands for an IPv4 address behind a translator or a tunnel."""
    RESERVED = "reserved"


_V4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", Forbidden.UNSPECIFIED),
        ("10.0.0.0/8", Forbidden.PRIVATE),
        ("100.64.0.0/10", Forbidden.PRIVATE),  # carrier-grade NAT
        ("127.0.0.0/8", Forbidden.LOOPBACK),
        ("169.254.0.0/16", Forbidden.LINK_LOCAL),  # cloud metadata
        ("172.16.0.0/12", Forbidden.PRIVATE),
        ("192.0.0.0/24", Forbidden.RESERVED),
        ("192.0.2.0/24", Forbidden.RESERVED),
        ("192.88.99.0/24", Forbidden.TRANSLATED),  # 6to4 relays
        ("192.168.0.0/16", Forbidden.PRIVATE),
        ("198.18.0.0/15", Forbidden.PRIVATE),
        ("198.51.100.0/24", Forbidden.RESERVED),
        ("203.0.113.0/24", Forbidden.RESERVED),
        ("224.0.0.0/4", Forbidden.MULTICAST),
        ("240.0.0.0/4", Forbidden.RESERVED),
    )
)
_V6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", Forbidden.UNSPECIFIED),
        ("::1/128", Forbidden.LOOPBACK),
        ("::/96", Forbidden.TRANSLATED),  # IPv4-compatible
        ("::ffff:0:0/96", Forbidden.TRANSLATED),  # IPv4-mapped
        ("::ffff:0:0:0/96", Forbidden.TRANSLATED),  # IPv4-translated
        ("64:ff9b::/96", Forbidden.TRANSLATED),  # NAT64
        ("64:ff9b:1::/48", Forbidden.TRANSLATED),  # NAT64, local
        ("2001::/32", Forbidden.TRANSLATED),  # Teredo
        ("2001::/23", Forbidden.RESERVED),  # protocol assignments
        ("2001:db8::/32", Forbidden.RESERVED),
        ("2002::/16", Forbidden.TRANSLATED),  # 6to4
        ("3fff::/20", Forbidden.RESERVED),
        ("fc00::/7", Forbidden.PRIVATE),  # unique local
        ("fe80::/10", Forbidden.LINK_LOCAL),
        ("fec0::/10", Forbidden.PRIVATE),  # site-local
        ("ff00::/8", Forbidden.MULTICAST),
    )
)
_V6_GLOBAL: Final = IPv6Network("2000::/3")
"""The only part of IPv6 that is given out; all else is refused without being named."""


def forbidden_because(address: Address) -> Forbidden | None:
    """Return why *address* must not be reached, None where it may be."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _V4 if address in network), None)
    found = next((why for network, why in _V6 if address in network), None)
    if found is None and address not in _V6_GLOBAL:
        return Forbidden.RESERVED
    return found


def is_loopback(address: Address) -> bool:
    """Tell whether *address* is this machine: what development may allow."""
    return forbidden_because(address) is Forbidden.LOOPBACK
