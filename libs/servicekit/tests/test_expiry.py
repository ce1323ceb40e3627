"""When certificates end, as their files say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from servicekit.expiry import Expiring, Expiry, ExpiryKind
from testkit.waiting import eventually

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(days: int) -> bytes:
    """Return a certificate (PEM) that ends *days* after it begins."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=days))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def ends(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("not_after_timestamp_seconds", {"kind": "certificate", "name": "api"})


def test_the_first_of_a_chain_to_end_is_told_and_stays_while_the_file_cannot_be_read(tmp_path: Path) -> None:
    registry, file = CollectorRegistry(), tmp_path / "chain.pem"
    expiry = Expiry(registry)
    watched = [Expiring(ExpiryKind.CERTIFICATE, "api", file)]
    expiry.look(watched)
    assert ends(registry) is None

    file.write_bytes(certificate(90) + certificate(30))
    expiry.look(watched)
    file.write_text("no certificate")
    expiry.look(watched)

    assert ends(registry) == (BEGIN + timedelta(days=30)).timestamp()


async def test_the_files_are_read_as_soon_as_the_process_runs(tmp_path: Path) -> None:
    registry, file = CollectorRegistry(), tmp_path / "chain.pem"
    file.write_bytes(certificate(7))

    async def is_told() -> bool:
        return ends(registry) == (BEGIN + timedelta(days=7)).timestamp()

    async with Expiry(registry).watching([Expiring(ExpiryKind.CERTIFICATE, "api", file)]):
        await eventually(is_told)
