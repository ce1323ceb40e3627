"""What would show a secret or money to strangers: addresses without TLS, known passwords, files others read. Pure."""

import stat
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

KEY_BYTES_MIN: Final = 32
"""A key of 256 bits cannot be guessed."""
KNOWN_PASSWORDS: Final = frozenset({"local", "postgres", "password"})
"""Of databases: everybody knows them from this repository, or tries them first."""

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH | stat.S_IWGRP


def is_loopback(host: str) -> bool:
    """Tell whether *host*, a name or an address, is this machine itself: `localhost`, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_database_in_the_clear(dsn: str) -> bool:
    """Tell whether a connection to *dsn* may go beyond this machine without TLS.

    TLS is certain with `sslmode` `require`, `verify-ca` or `verify-full`. A Unix socket and the loopback address need
    none. An address that names no host, or a `service`, takes what the environment or a file says: it counts as beyond.
    """
    query = _query(dsn)
    if query.get("sslmode", "").replace("_", "-") in _ENCRYPTED:
        return False
    hosts = _database_hosts(dsn, query.get("host", ""))
    return "service" in query or not hosts or not all(host.startswith("/") or is_loopback(host) for host in hosts)


def has_known_password(dsn: str) -> bool:
    """Tell whether *dsn* has a password that everybody knows."""
    userinfo, at, _ = urlsplit(dsn).netloc.partition("@")
    password = (unquote(userinfo.partition(":")[2]) if at else "") or _query(dsn).get("password", "")
    return password in KNOWN_PASSWORDS


def are_brokers_in_the_clear(addresses: str, *, has_tls: bool) -> bool:
    """Tell whether a connection to one of *addresses* (`host:port,…`) goes beyond this machine without TLS."""
    hosts = [_host(each.strip()) for each in addresses.split(",") if each.strip()]
    return not has_tls and not all(map(is_loopback, hosts))


def is_open_to_others(mode: int) -> bool:
    """Tell whether a file of *mode* is for others than its owner and, to be read, its group."""
    return bool(stat.S_IMODE(mode) & _OTHERS)


def _query(dsn: str) -> dict[str, str]:
    """Return the parameters of *dsn*, of one given twice the last, as the driver takes it."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(dsn).query).items()}


def _database_hosts(dsn: str, named: str) -> Sequence[str]:
    """Return the hosts of *dsn*; those *named* by a parameter count where there are none before the path."""
    before, at, after = urlsplit(dsn).netloc.partition("@")  # the first one divides, as for the driver
    listed = (after if at else before) or named
    return [_host(each) for each in listed.split(",") if each]


def _host(spec: str) -> str:
    """Return the host of `host:port`, `[address]:port` or either without its port."""
    spec = unquote(spec)
    if spec.startswith("["):
        return spec[1:].partition("]")[0]
    return spec if spec.startswith("/") else spec.partition(":")[0]
