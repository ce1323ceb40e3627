"""Where a connection really goes: to the vetted address, with the name kept, and nowhere else."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from testkit.events import wallet_in
from testkit.notifications_api import Bench, MakeBench
from testkit.receiver import receiving

pytestmark = pytest.mark.integration

HOST = "hooks.example.com"
PUBLIC = "93.184.215.14"


class Authority:
    """A certificate for HOST that signs itself: what the server shows, and what a worker may trust."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        begins = datetime(2020, 1, 1, tzinfo=UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=36_500))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        self.names: list[str | None] = []
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(file)
        self.server.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.trusting = ssl.create_default_context(cafile=str(file))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_the_name_is_kept_while_the_address_is_given(bench: Bench, authority: Authority) -> None:
    bench.names[HOST] = [["127.0.0.1"]]
    async with receiving(tls=authority.server) as receiver, bench.worker(tls=authority.trusting):
        await bench.client.endpoint(receiver.url("/hooks?a=b", host=HOST, scheme="https"))
        await bench.project(bench.stream.opened(wallet_in(3)))
        (post,) = await receiver.wait_for(1)
        await bench.client.until(1, status="delivered")

    assert authority.names == [HOST]
    assert (post.path, post.headers["host"]) == ("/hooks?a=b", f"{HOST}:{receiver.port}")


@pytest.mark.parametrize("is_trusted", [True, False], ids=["another name", "an unknown issuer"])
async def test_a_certificate_must_be_of_the_host_and_trusted(
    bench: Bench, authority: Authority, *, is_trusted: bool
) -> None:
    host = "other.example.com" if is_trusted else HOST
    bench.names[host] = [["127.0.0.1"]]
    tls = authority.trusting if is_trusted else ssl.create_default_context()
    async with receiving(tls=authority.server) as receiver, bench.worker(tls=tls):
        await bench.client.endpoint(receiver.url(host=host, scheme="https"))
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert receiver.posts == []
    attempts = await bench.client.attempts(delivery["id"])
    assert {(each["outcome"], each["error"]) for each in attempts} == {("tls_failed", "certificate_refused")}


async def test_a_name_that_turns_inwards_is_not_followed(make_bench: MakeBench) -> None:
    async with make_bench(notifications_allow_loopback=False) as bench, receiving() as receiver, bench.worker():
        bench.names[HOST] = [[PUBLIC], ["127.0.0.1"]]
        await bench.client.endpoint(receiver.url(host=HOST, scheme="https"))
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.until(1, status="exhausted")
        attempts = await bench.client.attempts(delivery["id"])

    assert receiver.posts == []
    assert {(each["outcome"], each["error"]) for each in attempts} == {("url_refused", "url_forbidden_address")}


async def test_of_a_name_with_two_addresses_both_are_judged(make_bench: MakeBench) -> None:
    async with make_bench(notifications_allow_loopback=False) as bench:
        bench.names[HOST] = [[PUBLIC, "10.0.0.7"]]
        refused = await bench.client.post("webhook-endpoints", {"url": f"https://{HOST}/"})

    assert (refused.status_code, refused.json()["code"]) == (422, "webhook_url_refused")
    assert refused.json()["errors"][0]["code"] == refused.json()["reason"] == "url_forbidden_address"


async def test_a_dead_address_gives_way_to_the_next(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        bench.names["localhost"] = [["127.0.0.2", "127.0.0.1"]]  # the receiver listens on the second alone
        await bench.client.endpoint(receiver.url(host="localhost"))
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.until(1, status="delivered")

    assert delivery["attempt_count"] == 1
