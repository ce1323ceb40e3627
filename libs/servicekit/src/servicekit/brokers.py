"""The brokers: where they are, and how every Kafka client of a service reaches them."""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class KafkaProtocol(StrEnum):
    """What lies between a client and a broker: TLS or nothing, SASL or no authentication."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def has_tls(self) -> bool:
        """Whether what is said is encrypted."""
        return self in {KafkaProtocol.SSL, KafkaProtocol.SASL_SSL}

    @property
    def has_sasl(self) -> bool:
        """Whether the client proves who it is by a password."""
        return self in {KafkaProtocol.SASL_PLAINTEXT, KafkaProtocol.SASL_SSL}


class KafkaMechanism(StrEnum):
    """How a client proves its password. SCRAM does not send it."""

    SCRAM_SHA_512 = "SCRAM-SHA-512"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where the brokers are (*addresses*: `host:port,…`), and how a client speaks to them.

    *username* and *password* are for SASL; *ca_file* (PEM) holds whom TLS trusts, None: the system's.
    """

    addresses: str
    protocol: KafkaProtocol = KafkaProtocol.PLAINTEXT
    mechanism: KafkaMechanism = KafkaMechanism.SCRAM_SHA_512
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def client(self) -> dict[str, Any]:
        """Return the arguments that each client is made with, consumer, producer or admin.

        Raises OSError and ssl.SSLError for a *ca_file* that cannot be read or holds no certificate.
        """
        named: dict[str, Any] = {"bootstrap_servers": self.addresses, "security_protocol": self.protocol.value}
        if self.protocol.has_tls:
            named["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.protocol.has_sasl:
            named["sasl_mechanism"] = self.mechanism.value
            named["sasl_plain_username"] = self.username
            named["sasl_plain_password"] = self.password
        return named
