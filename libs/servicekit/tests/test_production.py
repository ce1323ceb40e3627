"""What a process in production refuses of its settings, each on its own."""

from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import Field, SecretStr, ValidationError

from servicekit.brokers import Brokers, KafkaMechanism, KafkaProtocol
from servicekit.settings import SecretKey, ServiceSettings

SAFE: Final[dict[str, Any]] = {
    "mode": "production",
    "probe_database_url": "postgresql://app:b6tLz5k2@db.internal/probe?sslmode=verify-full",
    "probe_key": "k" * 32,
    "kafka_bootstrap_servers": "broker:9093",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "probe",
    "kafka_sasl_password": "9vJ4",
}
CLEAR_DATABASE: Final = "postgresql://app:b6tLz5k2@db.internal/probe"


class ProbeSettings(ServiceSettings):
    """A service's settings."""

    probe_database_url: str = Field(description="Where the app role reaches the database.")
    probe_reader_database_url: str | None = Field(default=None, description="Where the reader does.")
    probe_replica_urls: tuple[str, ...] = Field(default=(), description="Where it reaches replicas.")
    probe_key: SecretKey = Field(default=SecretStr("development-key-which-is-long-enough"), description="A key.")


def settings(**changes: Any) -> ProbeSettings:
    return ProbeSettings.model_validate({**SAFE, **changes})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    file.write_text("a key")
    file.chmod(0o600)
    return file


def test_what_is_safe_is_taken(key_file: Path) -> None:
    assert settings().tls is None
    assert settings(tls_cert_file=key_file, tls_key_file=key_file).tls == (key_file, key_file)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probe_key": "development-key-which-is-long-enough"}, "PROBE_KEY must be set"),
        ({"probe_key": "k" * 31}, "PROBE_KEY must have 32 bytes"),
        ({"probe_database_url": "postgresql://app:local@localhost/probe"}, "PROBE_DATABASE_URL has a password"),
        ({"probe_database_url": CLEAR_DATABASE}, "PROBE_DATABASE_URL leads beyond"),
        ({"probe_reader_database_url": CLEAR_DATABASE}, "PROBE_READER_DATABASE_URL leads beyond"),
        ({"probe_replica_urls": ("postgresql://app:local@localhost/probe",)}, "PROBE_REPLICA_URLS has a password"),
        ({"probe_replica_urls": ("postgresql://localhost/probe", CLEAR_DATABASE)}, "PROBE_REPLICA_URLS leads beyond"),
        ({"kafka_security_protocol": "PLAINTEXT"}, "KAFKA_BOOTSTRAP_SERVERS leads beyond"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT"}, "KAFKA_BOOTSTRAP_SERVERS leads beyond"),
        ({"kafka_sasl_username": ""}, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"kafka_sasl_password": None}, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"tls_cert_file": "cert.pem"}, "TLS_CERT_FILE and TLS_KEY_FILE"),
        ({"tls_cert_file": "cert.pem", "tls_key_file": "no/such.pem"}, "TLS_KEY_FILE names a file that cannot"),
    ],
)
def test_what_is_unsafe_is_refused_and_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as refused:
        settings(**changes)
    assert not any(secret in str(refused.value) for secret in ("b6tLz5k2", "9vJ4", "kkkk"))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o601])
def test_a_secret_file_for_others_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(ValidationError, match="TLS_KEY_FILE names a file that others"):
        settings(tls_cert_file=key_file, tls_key_file=key_file)
    assert settings(mode="development", tls_cert_file=key_file, tls_key_file=key_file).tls


def test_a_secret_file_may_be_its_groups_to_read(key_file: Path) -> None:
    key_file.chmod(0o440)

    assert settings(tls_cert_file=key_file, tls_key_file=key_file).tls


def test_plaintext_may_be_allowed_for_both_and_for_nothing_else() -> None:
    plain = {"probe_database_url": CLEAR_DATABASE, "kafka_security_protocol": "PLAINTEXT", "allow_plaintext": True}

    assert settings(**plain).allow_plaintext
    with pytest.raises(ValidationError, match="PROBE_KEY"):
        settings(**plain, probe_key="short")


def test_development_takes_what_production_refuses() -> None:
    made = settings(mode="development", probe_key="short", probe_database_url=CLEAR_DATABASE)

    assert made.probe_key.get_secret_value() == "short"


def test_every_client_of_the_brokers_is_made_from_the_settings() -> None:
    made = settings(kafka_sasl_mechanism="PLAIN").brokers
    named = made.client()

    assert made == Brokers(
        "broker:9093", KafkaProtocol.SASL_SSL, KafkaMechanism.PLAIN, username="probe", password="9vJ4"
    )
    assert "9vJ4" not in repr(made)
    assert named.pop("ssl_context").check_hostname
    assert named == {
        "bootstrap_servers": "broker:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "probe",
        "sasl_plain_password": "9vJ4",
    }
    assert Brokers("here:1").client() == {"bootstrap_servers": "here:1", "security_protocol": "PLAINTEXT"}
