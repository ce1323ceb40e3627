"""The load generator: wrk where the machine has it, else an asyncio client of our own."""

import asyncio
import os
import random
import re
import resource
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from servicekit.clock import monotonic_s

WRK_SCRIPT = Path(__file__).with_name("transfers.lua")


@dataclass(frozen=True, slots=True)
class Sent:
    """What was answered 201 (anything else fails the run), in which time, and the generator's share of one core."""

    requests: int
    seconds: float
    cpu_share: float


async def run(url: str, wallet_ids: list[str], *, hot: bool, connections: int, seconds: float) -> Sent:
    """Send transfers of 1.00 for *seconds*, each under a key of its own."""
    if shutil.which("wrk") is not None and seconds >= 1:
        return await _wrk(url, wallet_ids, hot=hot, connections=connections, seconds=round(seconds))
    return await _own(url, wallet_ids, hot=hot, connections=connections, seconds=seconds)


async def _wrk(url: str, wallet_ids: list[str], *, hot: bool, connections: int, seconds: int) -> Sent:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as ids:
        ids.write("\n".join(wallet_ids))
        ids.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = await asyncio.create_subprocess_exec(
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(WRK_SCRIPT), url,
            "--", ids.name, "hot" if hot else "uniform", secrets.token_hex(8),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(seconds + 60):
            output = (await process.communicate())[0].decode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in ([0-9.]+)s", output)
    assert found is not None, output
    assert "Non-2xx" not in output, output
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sent(int(found[1]), float(found[2]), used_s / float(found[2]))


async def _own(url: str, wallet_ids: list[str], *, hot: bool, connections: int, seconds: float) -> Sent:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    times = os.times()
    began_s = monotonic_s()
    until_s = began_s + seconds
    counts = await asyncio.gather(
        *(_connection(address.hostname, address.port, wallet_ids, hot=hot, until_s=until_s) for _ in range(connections))
    )
    now = os.times()
    elapsed_s = monotonic_s() - began_s
    used_s = now.user + now.system - times.user - times.system
    return Sent(sum(counts), elapsed_s, used_s / elapsed_s)


async def _connection(host: str, port: int, wallet_ids: list[str], *, hot: bool, until_s: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    answered = 0
    while monotonic_s() < until_s:
        writer.write(_request(wallet_ids, hot=hot))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201 "), head
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, head
        await reader.readexactly(int(length[1]))
        answered += 1
    writer.close()
    return answered


def _request(wallet_ids: list[str], *, hot: bool) -> bytes:
    payer = wallet_ids[0] if hot else random.choice(wallet_ids)
    payee = random.choice(wallet_ids)
    while payee == payer:
        payee = random.choice(wallet_ids)
    body = (
        f'{{"source_wallet_id":"{payer}","destination_wallet_id":"{payee}",'
        '"amount":{"amount":"1.00","currency":"USD"}}'
    )
    return (
        "POST /v1/transfers HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {secrets.token_hex(16)}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
