"""Where a request to a stranger's URL goes: read by a strict grammar, then its resolved addresses judged. Pure.

The URL is taken apart once, here, and every later step uses the parts: no second parser that could read it otherwise.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from servicekit.outbound.addresses import Address, forbidden_because, is_loopback

URL_CHARACTERS_MAX: Final = 2_000
HOST_CHARACTERS_MAX: Final = 253
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
UNPRIVILEGED_PORT_MIN: Final = 1_024
"""Below it only 443 is taken: nobody must have us speak to a mail server or a remote shell."""
PORT_MAX: Final = 65_535

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?", re.ASCII
)
_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
_UNSAFE: Final = re.compile(r"[\\<>\"^`{|}]", re.ASCII)
"""Characters that RFC 3986 keeps out of a URL and that parsers treat differently."""
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER: Final = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+", re.ASCII)


class UrlRefusal(StrEnum):
    """Why a URL is refused: field codes."""

    MALFORMED = "url_malformed"
    SCHEME = "url_scheme"
    USERINFO = "url_userinfo"
    HOST = "url_host"
    PORT = "url_port"
    UNRESOLVABLE = "url_unresolvable"
    ADDRESS = "url_forbidden_address"


class UrlRefused(ValueError):
    """The URL is none that requests are sent to."""

    def __init__(self, refusal: UrlRefusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart. *host* is a lower-case name, or a literal address where *address* is not None."""

    scheme: str
    host: str
    port: int
    path_and_query: str
    address: Address | None

    @property
    def is_encrypted(self) -> bool:
        """Whether it is https."""
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        """What the receiver is told it was called."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        is_usual = self.port == (HTTPS_PORT if self.is_encrypted else HTTP_PORT)
        return host if is_usual else f"{host}:{self.port}"


def parse_target(url: str, *, allow_loopback: bool) -> Target:
    """Return the parts of *url*; raise UrlRefused unless it is one that may be looked up.

    *allow_loopback* is for development: then http is taken too, for a host that turns out to be this machine.
    """
    parts = _parts(url)
    scheme = parts["scheme"].lower()
    if scheme != "https" and not (allow_loopback and scheme == "http"):
        raise UrlRefused(UrlRefusal.SCHEME, "Only https is taken.")
    authority = parts["authority"]
    if "@" in authority:
        raise UrlRefused(UrlRefusal.USERINFO, "A user or a password has no place in the URL.")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise UrlRefused(UrlRefusal.HOST, "The host is no DNS name in ASCII and no address.")
    host, address = _host(match["host"], allow_loopback=allow_loopback)
    default_port = HTTPS_PORT if scheme == "https" else HTTP_PORT
    port = _port(match["port"], default_port, allow_loopback=allow_loopback)
    query = "" if parts["query"] is None else f"?{parts['query']}"
    return Target(scheme=scheme, host=host, port=port, path_and_query=(parts["path"] or "/") + query, address=address)


def check_addresses(target: Target, addresses: Sequence[Address], *, allow_loopback: bool) -> None:
    """Raise UrlRefused unless *target* may be reached at every one of *addresses*, which its host resolves to."""
    if not addresses:
        raise UrlRefused(UrlRefusal.UNRESOLVABLE, "The host has no address.")
    for address in addresses:
        if allow_loopback and is_loopback(address):
            continue
        why = forbidden_because(address)
        if why is not None:
            raise UrlRefused(UrlRefusal.ADDRESS, f"The host leads to an address that is not public ({why}).")
        if not target.is_encrypted:
            raise UrlRefused(UrlRefusal.SCHEME, "Only this machine is reached without https.")


def _parts(url: str) -> "re.Match[str]":
    if len(url) > URL_CHARACTERS_MAX:
        raise UrlRefused(UrlRefusal.MALFORMED, f"The URL has more than {URL_CHARACTERS_MAX} characters.")
    if _VISIBLE.fullmatch(url) is None or _UNSAFE.search(url) is not None:
        raise UrlRefused(UrlRefusal.MALFORMED, "The URL holds a character that must be percent-encoded or punycode.")
    match = _URL.fullmatch(url)
    if match is None:
        raise UrlRefused(UrlRefusal.MALFORMED, "The URL is not absolute, or has a fragment.")
    return match


def _host(text: str, *, allow_loopback: bool) -> tuple[str, Address | None]:
    if text.startswith("["):
        return _ipv6(text[1:-1])
    host = text.lower()
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]) is not None:
        return _ipv4(host)
    if len(host) > HOST_CHARACTERS_MAX or any(_LABEL.fullmatch(label) is None for label in labels):
        raise UrlRefused(UrlRefusal.HOST, "The host is no DNS name.")
    if len(labels) == 1 and not (allow_loopback and host == "localhost"):
        raise UrlRefused(UrlRefusal.HOST, "The host must be a full DNS name.")
    return host, None


def _ipv4(host: str) -> tuple[str, Address]:
    """Read the one canonical form: resolvers take 2130706433, 0x7f.1 and 0177.0.0.1 for 127.0.0.1."""
    with suppress(AddressValueError):
        address = IPv4Address(host)
        if str(address) == host:
            return host, address
    raise UrlRefused(UrlRefusal.HOST, "The host is a number, but no address in its usual form.")


def _ipv6(text: str) -> tuple[str, Address]:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise UrlRefused(UrlRefusal.HOST, "The host is no IPv6 address.") from None
    return str(address), address


def _port(text: str | None, default: int, *, allow_loopback: bool) -> int:
    if text is None:
        return default
    port = int(text)
    lowest = 1 if allow_loopback else UNPRIVILEGED_PORT_MIN
    if port != HTTPS_PORT and not lowest <= port <= PORT_MAX:
        raise UrlRefused(UrlRefusal.PORT, f"The port must be {HTTPS_PORT} or {UNPRIVILEGED_PORT_MIN} to {PORT_MAX}.")
    return port
