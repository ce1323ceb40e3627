"""Settings: the environment is read here and in the subclasses of each service, nowhere else.

A service's settings class inherits from `ServiceSettings`; `docs/settings.md` is made from them.
"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from servicekit.client_address import trusted_proxies


class Mode(StrEnum):
    """Where a process runs. Outside development nothing that everybody knows is accepted as a secret."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class AccessLog(StrEnum):
    """Which requests leave a line in the log: all, or those that failed, were slow or are traced."""

    ALL = "all"
    ERRORS = "errors"


class ServiceSettings(BaseSettings):
    """What every process of every service takes from its environment.

    A secret's default is known to everybody: it is for development, and outside of it refused.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Mode = Field(
        default=Mode.DEVELOPMENT,
        description="`development` or `production`: outside development what everybody knows is refused.",
    )
    host: str = Field(default="127.0.0.1", description="The address every listening socket of the process binds to.")
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="The least severe log line that is written: DEBUG, INFO, WARNING or ERROR.",
    )
    access_log: AccessLog = Field(
        default=AccessLog.ERRORS,
        description="`errors`: a line per failed (500 and above), slow or traced request; `all`: a line per request.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="Where spans are sent (OTLP over HTTP, for example http://localhost:4318); unset: `TRACES_FILE`.",
    )
    trace_sample_ratio: float = Field(
        default=0.01, ge=0, le=1, description="The share of requests without a `traceparent` that is traced."
    )
    client_traces_per_s: int = Field(
        default=50,
        ge=0,
        description="Requests a second that are traced because their client's `traceparent` says so; others go on "
        "unsampled, under the same ids.",
    )
    traces_file: Path = Field(
        default=Path(".local/traces.jsonl"),
        description="Where spans are written, one JSON object per line, when no OTLP endpoint is set.",
    )
    access_topic: str = Field(default="access.events", description="The topic that identities are known from.")
    access_stale_s: int = Field(
        default=300,
        ge=1,
        description="How long nothing may be heard of identities before staff's requests are answered 503, in seconds.",
    )
    pages_from: str = Field(
        default="127.0.0.0/8, ::1/128",
        description="The networks that `/metrics` and `/health/deep` answer to, `network, …`; to "
        "others they do not exist.",
    )
    trusted_proxies: str = Field(
        default="",
        description="The networks of our own proxies, `network, …`: a request from one is its client's, the last "
        "hop of `X-Forwarded-For` that is none of them.",
    )
    request_deadline_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds after which a request to any route but a command's is answered 503, unless its response "
        "has begun.",
    )
    request_arrival_s: float = Field(
        default=15.0,
        gt=0,
        le=300,
        description="How long a request may take to arrive, in seconds, from its connection's first moment or its own "
        "first byte to the end of its body.",
    )
    connections_max: int = Field(
        default=8_192, ge=1, description="Connections that the process serves at once; one more is answered 503."
    )
    drain_s: float = Field(
        default=10.0, gt=0, le=300, description="How long requests and workers may finish after SIGTERM, in seconds."
    )

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of our own proxies. Raises ValueError for what is no network."""
        return trusted_proxies([each.strip() for each in self.trusted_proxies.split(",") if each.strip()])

    @property
    def pages_networks(self) -> Sequence[IPv4Network | IPv6Network]:
        """The networks that the operator's pages answer to. Raises ValueError for what is no network."""
        return [ip_network(each.strip()) for each in self.pages_from.split(",") if each.strip()]

    @model_validator(mode="after")
    def _names_networks(self) -> Self:
        assert self.pages_networks is not None
        assert self.proxies is not None
        return self

    @model_validator(mode="after")
    def _has_secrets_of_its_own(self) -> Self:
        if self.mode is Mode.DEVELOPMENT:
            return self
        for name, field in type(self).model_fields.items():
            if isinstance(field.default, SecretStr) and getattr(self, name) == field.default:
                raise ValueError(f"{name.upper()} must be set outside development")
        return self
