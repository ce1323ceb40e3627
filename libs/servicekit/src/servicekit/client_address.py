"""Whose request it is, by address: the peer, or the rightmost hop of `X-Forwarded-For` that is no proxy of ours.

Every proxy appends the address that it was reached from, so that only what our own proxies appended can be believed,
from the right. Whatever stands left of the first address that is not ours was written by the client.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

UNKNOWN: Final = IPv4Address("0.0.0.0")  # noqa: S104 - nothing is bound to it
"""Of a peer without an address, as behind a local socket: all such share one bucket, and none is trusted."""
FORWARDED_BYTES_MAX: Final = 4_096
"""How much of the header is looked at, from its end; what our proxies appended is there."""
HOPS_MAX: Final = 32
"""How many proxies of ours a request goes through at most."""
HOP_BYTES_MAX: Final = 64
"""Longer than any address with brackets, zone and port."""
TRUSTED_MAX: Final = 64
CACHED_MAX: Final = 4_096
CACHED_BYTES_MAX: Final = 128
"""A longer header is read anew each time: what is remembered is small whatever clients send."""
_V6_BUCKET_BYTES: Final = 8
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?")
_V4_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}")


def trusted_proxies(networks: Sequence[str]) -> tuple[Network, ...]:
    """Return *networks* parsed: `10.0.0.0/8`, `fd00::/8`, or one address.

    Raises ValueError for what is no network, has host bits set, a zone, is IPv4 mapped into IPv6, or trusts everybody
    (`/0`), and for more than TRUSTED_MAX.
    """
    if len(networks) > TRUSTED_MAX:
        raise ValueError(f"At most {TRUSTED_MAX} networks of proxies can be trusted.")
    parsed = tuple(ip_network(network.strip()) for network in networks)
    for network in parsed:
        if network.prefixlen == 0:
            raise ValueError("A network of proxies must not be every address.")
        first = network.network_address
        if isinstance(first, IPv6Address) and (first.scope_id is not None or first.ipv4_mapped is not None):
            raise ValueError(f"{network} is to be written without a zone, and as IPv4.")
    return parsed


class Client(NamedTuple):
    """Where a request comes from: its *address*, and the id of the *bucket* that it is charged to."""

    address: Address
    bucket: bytes


class Clients:
    """Tells whose request it is, for a process that trusts the proxies in *trusted*; remembers who comes often."""

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._trusted = trusted
        self._of_peer = lru_cache(maxsize=CACHED_MAX)(self._uncached)
        self._of_hops = lru_cache(maxsize=CACHED_MAX)(self._uncached)
        self._is_proxy = lru_cache(maxsize=CACHED_MAX)(self._is_trusted_peer)

    def client(self, peer: str | None, forwarded: tuple[bytes, ...] = ()) -> Client:
        """Return the client behind *peer*, as `client_address` tells it."""
        if not forwarded or not self._is_proxy(peer):
            return self._of_peer(peer)
        if len(forwarded) == 1 and len(forwarded[0]) <= CACHED_BYTES_MAX:
            return self._of_hops(peer, forwarded)
        return self._uncached(peer, forwarded)

    def _uncached(self, peer: str | None, forwarded: tuple[bytes, ...] = ()) -> Client:
        address = client_address(peer, forwarded, self._trusted)
        return Client(address, bucket_of(address))

    def _is_trusted_peer(self, peer: str | None) -> bool:
        return is_trusted(_address_of(peer), self._trusted)


def client_address(peer: str | None, forwarded: Sequence[bytes], trusted: tuple[Network, ...]) -> Address:
    """Return the address of the client behind *peer*.

    *forwarded* are the values of all `X-Forwarded-For` headers in their order. A hop that is no address ends the walk
    with the last good one: our own proxy, which then pays for what it passed on. UNKNOWN where the peer has none.
    """
    address = _address_of(peer)
    if not forwarded or not is_trusted(address, trusted):
        return address
    for hop in _hops(forwarded):
        named = parse_address(hop)
        if named is None:
            return address
        address = named
        if not is_trusted(address, trusted):
            return address
    return address


def _address_of(peer: str | None) -> Address:
    return UNKNOWN if peer is None else parse_address(peer) or UNKNOWN


def parse_address(text: str) -> Address | None:
    """Return the address in *text*: with a port, brackets or a zone, which are left out; None where it is none.

    IPv4 mapped into IPv6 is the IPv4.
    """
    text = text.strip(" \t")
    if len(text) > HOP_BYTES_MAX:
        return None
    enclosed = _BRACKETED.fullmatch(text) or _V4_WITH_PORT.fullmatch(text)
    try:
        address = ip_address((enclosed[1] if enclosed else text).partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv4Address) and ("[" in text or "%" in text):
        return None
    return unmapped(address)


def unmapped(address: Address) -> Address:
    """Return *address*, or the IPv4 address that is mapped into it."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def is_trusted(address: Address, trusted: tuple[Network, ...]) -> bool:
    """Return whether *address* is one of our proxies."""
    return address != UNKNOWN and any(address in network for network in trusted)


def bucket_of(address: Address) -> bytes:
    """Return the id of the address's bucket: the IPv4's four bytes, or the eight bytes of the IPv6's /64.

    A /64 is what one subscriber is given; to count its addresses one by one would be to limit nobody.
    """
    return address.packed if isinstance(address, IPv4Address) else address.packed[:_V6_BUCKET_BYTES]


def _hops(forwarded: Sequence[bytes]) -> list[str]:
    """Return the last hops, from the right, whole ones only. An empty part is a hop that is no address."""
    end = b""
    cut = False
    for value in reversed(forwarded):
        end = value[-FORWARDED_BYTES_MAX - 1 :] + (b"," + end if end else b"")
        if len(end) > FORWARDED_BYTES_MAX:
            end, cut = end[-FORWARDED_BYTES_MAX:], True
            break
    hops = end.decode("latin-1").rsplit(",", HOPS_MAX)
    if cut or len(hops) > HOPS_MAX:
        hops = hops[1:]
    return hops[::-1]
