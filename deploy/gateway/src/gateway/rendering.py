"""From a template and what stands behind the gateway to a configuration of nginx. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.routes import SERVICES

PREFIX: Final = "GATEWAY_"
CHECKED: Final = "max_fails=1 fail_timeout=2s"
"""A server that fails is left alone for two seconds."""
_VARIABLE: Final = re.compile(r"\$\{(GATEWAY_[A-Z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Where clients speak TLS: the port, and the files of the certificate with its chain and of its key (PEM)."""

    port: int
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A gateway on one machine: its *port*, and each service's API as addresses `host:port`.

    *source* is the address that it reaches them from, by which they know it (`TRUSTED_PROXIES`); *trusted* are the
    networks of proxies in front of it.
    """

    port: int
    apis: Mapping[str, Sequence[str]]
    source: str | None = None
    trusted: Sequence[str] = ()
    tls: Tls | None = None
    host: str = "127.0.0.1"
    requests_per_address: int = field(default=1000)

    def variables(self, *, folder: Path, files: Path) -> dict[str, str]:
        """Return the template's variables for a gateway that keeps what it writes in *folder*."""
        tls = self.tls
        return {
            "GATEWAY_WORKERS": "1",
            "GATEWAY_FOLDER": str(folder),
            "GATEWAY_FILES": str(files),
            "GATEWAY_LOG": str(folder / "requests.log"),
            "GATEWAY_LISTEN": f"{self.host}:{self.port}",
            "GATEWAY_TLS": "" if tls is None else _tls_directives(self.host, tls),
            "GATEWAY_RESOLVER": "",
            "GATEWAY_TRUSTED": " ".join(f"set_real_ip_from {network};" for network in self.trusted),
            "GATEWAY_SOURCE": "" if self.source is None else f"proxy_bind {self.source};",
            "GATEWAY_REQUESTS_PER_ADDRESS": str(self.requests_per_address),
            **{upstream_variable(service): _servers(self.apis.get(service, ())) for service in SERVICES},
        }


def upstream_variable(service: str) -> str:
    """Return the variable with the servers of *service*."""
    return PREFIX + service.upper().replace("-", "_")


def _servers(addresses: Sequence[str]) -> str:
    # A service that does not run here is one that never answers.
    if not addresses:
        return "server 127.0.0.1:1 down;"
    return " ".join(f"server {address} {CHECKED};" for address in addresses)


def _tls_directives(host: str, tls: Tls) -> str:
    return (
        f"listen {host}:{tls.port} ssl; http2 on; ssl_protocols TLSv1.2 TLSv1.3; "
        f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};"
    )


def render(template: str, variables: Mapping[str, str]) -> str:
    """Return *template* with its variables put in; raises KeyError for one that *variables* lacks."""
    return _VARIABLE.sub(lambda found: variables[found[1]], template)
