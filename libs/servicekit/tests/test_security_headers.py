"""What every answer tells browsers and caches, on either engine and for whatever comes of a request; and TLS itself."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.testclient import TestClient

from servicekit.http.route import Engine
from servicekit.lifecycle import Shutdown
from servicekit.serving import Tls, serve_http
from testkit.route_bench import BODY, JSON, Bench, path_of

HSTS: Final = "max-age=31536000"


@pytest.fixture
def bench() -> Bench:
    return Bench()


ASKED: Final = (
    *(("POST", path_of(engine), "200") for engine in Engine),
    *(("PUT", path_of(engine), "405") for engine in Engine),
    ("GET", "/no/such", "404"),
    ("GET", "/health/ready", "200"),
    ("HEAD", "/health/ready", "200"),
    ("GET", "/metrics", "200"),
    ("GET", "/openapi.json", "200"),
    ("GET", "/docs", "200"),
)


@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
@pytest.mark.parametrize(("scheme", "stays"), [("http", None), ("https", HSTS)])
def test_every_answer_is_for_its_caller_alone(
    bench: Bench, asked: tuple[str, str, str], scheme: str, stays: str | None
) -> None:
    method, path, status = asked
    client = TestClient(bench.app, base_url=f"{scheme}://probe", client=("127.0.0.1", 50_000))
    sent = {"json": BODY, "headers": JSON} if method in {"POST", "PUT"} else {}

    answer = client.request(method, path, **sent)  # type: ignore[arg-type]  # what a request is sent with

    assert str(answer.status_code) == status
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers.get("strict-transport-security") == stays


@pytest.mark.parametrize("engine", list(Engine))
def test_a_refusal_is_too(bench: Bench, engine: Engine) -> None:
    answer = bench.client.post(path_of(engine), content=b"{", headers=JSON)

    assert answer.status_code == 400
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")


def test_a_public_file_may_be_kept(bench: Bench) -> None:
    page = bench.client.get("/docs").text
    file = next(part for part in page.split('"') if part.endswith(".css"))

    answer = bench.client.get(file)

    assert answer.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """Give a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "probe")])
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    made.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@pytest.fixture
async def port(bench: Bench, tls: Tls) -> AsyncIterator[int]:
    """Give the port of the application over TLS."""
    shutdown, ready = Shutdown(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve_http(
            bench.app, host="127.0.0.1", port=0, shutdown=shutdown, drain_s=1, on_ready=ready.set_result, tls=tls
        )
    )
    yield await ready
    shutdown.request()
    await serving


async def test_an_api_speaks_tls(port: int, tls: Tls) -> None:
    trusting = ssl.create_default_context(cafile=tls.cert_file)

    async with httpx2.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting) as client:
        ready = await client.get("/health/ready")
        made = await client.post(path_of(Engine.COMMAND), json=BODY, headers=JSON)

    assert (ready.status_code, made.status_code) == (200, 200)
    assert ready.headers["strict-transport-security"] == made.headers["strict-transport-security"] == HSTS


async def test_what_is_no_http_is_answered_over_tls_too(port: int, tls: Tls) -> None:
    trusting = ssl.create_default_context(cafile=tls.cert_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)

    writer.write(b"no http\r\n\r\n")
    head = (await reader.read()).partition(b"\r\n\r\n")[0].split(b"\r\n")
    writer.close()

    assert head[0] == b"HTTP/1.1 400 Bad Request"
    assert {b"cache-control: no-store", b"strict-transport-security: max-age=31536000"} <= set(head)
