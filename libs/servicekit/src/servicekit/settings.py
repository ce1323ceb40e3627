"""Settings: the environment is read here and in the subclasses of each service, nowhere else.

A service's settings class inherits from `ServiceSettings`; `docs/settings.md` is made from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Self, get_args

from pydantic import Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from servicekit.brokers import Brokers, KafkaMechanism, KafkaProtocol
from servicekit.client_address import trusted_proxies
from servicekit.exposure import (
    KEY_BYTES_MIN,
    are_brokers_in_the_clear,
    has_known_password,
    is_database_in_the_clear,
    is_open_to_others,
)

_DATABASE_URL: Final = "database_url"
_REPLICA_URLS: Final = "replica_urls"
"""What the names of settings end with that are addresses of a database."""


class Mode(StrEnum):
    """Where a process runs. Outside development nothing that everybody knows is accepted as a secret."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class AccessLog(StrEnum):
    """Which requests leave a line in the log: all, or those that failed, were slow or are traced."""

    ALL = "all"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a setting in its annotation: a key, or the name of a file that holds one."""

    is_file: bool


SecretKey = Annotated[SecretStr, Secret(is_file=False)]
"""A key: outside development it has 32 bytes or more."""
SecretFile = Annotated[Path, Secret(is_file=True)]
"""A file that holds a secret: outside development nobody but its owner and its group may read it."""


class ServiceSettings(BaseSettings):
    """What every process of every service takes from its environment.

    A secret's default is known to everybody: it is for development, and outside of it refused.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Mode = Field(
        default=Mode.DEVELOPMENT,
        description="`development` or `production`: outside development what everybody knows is refused.",
    )
    release: str = Field(
        default="",
        pattern="^[A-Za-z0-9._-]{0,20}$",
        description="The release that the process is of: shown in `build_info`, and behind its sessions' names at "
        "PostgreSQL.",
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
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:19092", description="The brokers, `host:port,…`.")
    kafka_security_protocol: KafkaProtocol = Field(
        default=KafkaProtocol.PLAINTEXT,
        description="How brokers are spoken to: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.",
    )
    kafka_sasl_mechanism: KafkaMechanism = Field(
        default=KafkaMechanism.SCRAM_SHA_512,
        description="How the password is proved to brokers: `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`.",
    )
    kafka_sasl_username: str = Field(default="", description="Who the process is to brokers, with SASL.")
    kafka_sasl_password: SecretStr | None = Field(default=None, description="Its password, with SASL.")
    kafka_ca_file: Path | None = Field(
        default=None, description="The certificates that brokers' are checked by, with TLS (PEM); unset: the system's."
    )
    allow_plaintext: bool = Field(
        default=False,
        description="Whether, outside development, PostgreSQL and Kafka may be beyond this machine without TLS.",
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
    tls_cert_file: Path | None = Field(
        default=None, description="The API's certificate and its chain (PEM); unset: it speaks plain HTTP."
    )
    tls_key_file: SecretFile | None = Field(default=None, description="The key of that certificate (PEM).")
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

    @property
    def brokers(self) -> Brokers:
        """How every Kafka client of the process reaches the brokers."""
        password = self.kafka_sasl_password
        return Brokers(
            self.kafka_bootstrap_servers,
            protocol=self.kafka_security_protocol,
            mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_sasl_username,
            password="" if password is None else password.get_secret_value(),
            ca_file=self.kafka_ca_file,
        )

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """The files of the API's certificate and of its key; None: it speaks plain HTTP."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return self.tls_cert_file, self.tls_key_file

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE go together")
        if self.kafka_security_protocol.has_sasl and not (self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD must be set with SASL")
        return self

    @model_validator(mode="after")
    def _has_secrets_of_its_own(self) -> Self:
        if self.mode is Mode.DEVELOPMENT:
            return self
        for name, field in type(self).model_fields.items():
            if isinstance(field.default, SecretStr) and getattr(self, name) == field.default:
                raise ValueError(f"{name.upper()} must be set outside development")
        for name, secret in self._secrets():
            if secret.is_file:
                _refuse_open_file(name, getattr(self, name))
            elif len(getattr(self, name).get_secret_value().encode()) < KEY_BYTES_MIN:
                raise ValueError(f"{name.upper()} must have {KEY_BYTES_MIN} bytes outside development")
        for name, address in self._database_urls():
            if has_known_password(address):
                raise ValueError(f"{name.upper()} has a password that everybody knows")
        return self

    @model_validator(mode="after")
    def _reaches_nobody_in_the_clear(self) -> Self:
        if self.mode is Mode.DEVELOPMENT or self.allow_plaintext:
            return self
        for name, address in self._database_urls():
            if is_database_in_the_clear(address):
                raise ValueError(f"{name.upper()} leads beyond this machine without sslmode=require or verify-full")
        has_tls = self.kafka_security_protocol.has_tls
        if are_brokers_in_the_clear(self.kafka_bootstrap_servers, has_tls=has_tls):
            raise ValueError("KAFKA_BOOTSTRAP_SERVERS leads beyond this machine: set KAFKA_SECURITY_PROTOCOL=SASL_SSL")
        return self

    def _database_urls(self) -> Iterator[tuple[str, str]]:
        """Yield the settings that are set and are addresses of databases, each address with its setting's name."""
        for name in type(self).model_fields:
            given = getattr(self, name)
            if name.endswith(_DATABASE_URL) and given:
                yield name, given
            elif name.endswith(_REPLICA_URLS):
                yield from ((name, address) for address in given)

    def _secrets(self) -> Iterator[tuple[str, Secret]]:
        """Yield the names of the settings that are set and marked as secret, each with its mark."""
        for name, field in type(self).model_fields.items():
            marks = [mark for mark in _marks(field) if isinstance(mark, Secret)]
            if marks and getattr(self, name) is not None:
                yield name, marks[0]


def _marks(field: FieldInfo) -> Iterator[object]:
    """Yield what marks *field*, also inside of an optional one's annotation."""
    yield from field.metadata
    for part in get_args(field.annotation):
        yield from getattr(part, "__metadata__", ())


def _refuse_open_file(name: str, path: Path) -> None:
    """Raise ValueError where the file at *path*, the setting *name*, is none, or is for others."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ValueError(f"{name.upper()} names a file that cannot be looked at: {error.strerror}") from None
    if is_open_to_others(mode):
        raise ValueError(f"{name.upper()} names a file that others can read or change: chmod it to 0600 or 0640")
