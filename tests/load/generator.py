"""The load generator: wrk where the machine has it, else an asyncio client of our own."""

import asyncio
import random
import re
import resource
import secrets
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from servicekit.clock import monotonic_s
from testkit.identities import CLIENTS_KEY

WRK_SCRIPT = Path(__file__).with_name("transfers.lua")
NAME = "wrk" if shutil.which("wrk") is not None else "an asyncio client of our own"
_MARGIN_S = 60.0


FRESH_SHARE: Final = 1 / 20
_BACKEND: Final = f"Authorization: Bearer {CLIENTS_KEY.text}\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Transfers of 1.00, each under a key of its own, over *connections* in all, for *seconds*.

    *hot*: all from one wallet. *commands*: how many in one request; above 1 it is an independent batch. *per_s*: how
    many requests are due each second; None: the next follows each answer. *may_be_refused*: a refusal is counted;
    otherwise it fails the run. *callers* are the lines of a head that say who asks, one by
    chance for each request; one request in twenty takes one of *fresh* away, if there are any. *reads* are requests
    that read, whole, which are sent in turn instead of transfers, from a place by chance on.
    """

    wallet_ids: Sequence[str]
    connections: int
    seconds: float
    hot: bool = False
    commands: int = 1
    per_s: float | None = None
    may_be_refused: bool = False
    callers: Sequence[str] = field(default=(_BACKEND,), repr=False)
    fresh: deque[str] | None = field(default=None, repr=False)
    reads: Sequence[bytes] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """How many commands were carried out and refused, in which time; the generator's share of a core."""

    commands: int
    refused: int
    seconds: float
    cpu_share: float


@dataclass(frozen=True, slots=True)
class _Answered:
    requests: int
    refused: int
    seconds: float


async def run(urls: Sequence[str], load: Load) -> Sent:
    """Send *load*, its connections shared out among *urls*."""
    before_s, began_s = _cpu_s(), monotonic_s()
    send = _wrk if NAME == "wrk" and load.seconds >= 1 and not load.reads else _own
    counts = await asyncio.gather(*(send(url, load, max(1, load.connections // len(urls))) for url in urls))
    elapsed_s, used_s = monotonic_s() - began_s, _cpu_s() - before_s
    refused = sum(each.refused for each in counts)
    done = sum(each.requests for each in counts) - refused
    assert done > 0, f"nothing was carried out within {load.seconds:g} s"
    assert load.may_be_refused or refused == 0, f"{refused} requests were refused"
    return Sent(done * load.commands, refused, max(each.seconds for each in counts), used_s / elapsed_s)


def _cpu_s() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


async def _wrk(url: str, load: Load, connections: int) -> _Answered:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as ids:
        ids.write("\n".join(load.wallet_ids))
        ids.flush()
        process = await asyncio.create_subprocess_exec(
            "wrk", "-t1", f"-c{connections}", f"-d{round(load.seconds)}s", "--timeout", "10s", "-s", str(WRK_SCRIPT),
            url, "--", ids.name, "hot" if load.hot else "uniform", secrets.token_hex(8), str(load.commands),
            str(load.per_s or 0), load.callers[0].split()[2],
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(load.seconds + _MARGIN_S):
            output = (await process.communicate())[0].decode()
    found = re.search(r"(\d+) requests in ([0-9.]+)s", output)
    assert found is not None, output
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return _Answered(int(found[1]), int(refused[1]) if refused is not None else 0, float(found[2]))


async def _own(url: str, load: Load, connections: int) -> _Answered:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    began_s = monotonic_s()
    pause_s = 0.0 if load.per_s is None else connections / load.per_s
    counts = await asyncio.gather(
        *(
            _connection(address.hostname, address.port, load, until_s=began_s + load.seconds, pause_s=pause_s)
            for _ in range(connections)
        )
    )
    answered, refused = (sum(each) for each in zip(*counts, strict=True))
    return _Answered(answered, refused, monotonic_s() - began_s)


async def _connection(host: str, port: int, load: Load, *, until_s: float, pause_s: float) -> tuple[int, int]:
    """Return how many requests were answered, and how many of them refused."""
    reader, writer = await asyncio.open_connection(host, port)
    answered = refused = 0
    requests = _reads(load) if load.reads else iter(lambda: _request(load), None)
    while monotonic_s() < until_s:
        due_s = monotonic_s() + pause_s
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None, head
        body = await reader.readexactly(int(length[1]))
        assert b'"body":null' not in body, body
        answered += 1
        refused += not head.startswith(b"HTTP/1.1 20")
        await asyncio.sleep(max(0.0, due_s - monotonic_s()))
    writer.close()
    return answered, refused


def _reads(load: Load) -> Iterator[bytes]:
    begin = random.randrange(len(load.reads))
    return cycle([*load.reads[begin:], *load.reads[:begin]])


def _request(load: Load) -> bytes:
    if load.commands == 1:
        path, body = "/v1/transfers", _transfer(load, "")
    else:
        each = ",".join(_transfer(load, '"type":"transfer",') for _ in range(load.commands))
        path, body = "/v1/batches", f'{{"mode":"independent","commands":[{each}]}}'
    is_fresh = load.fresh and random.random() < FRESH_SHARE
    caller = load.fresh.popleft() if load.fresh and is_fresh else random.choice(load.callers)
    return (
        f"POST {path} HTTP/1.1\r\nHost: wallet\r\nContent-Type: application/json\r\n"
        f"{caller}"
        f"Idempotency-Key: {secrets.token_hex(16)}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _transfer(load: Load, tag: str) -> str:
    payer = load.wallet_ids[0] if load.hot else random.choice(load.wallet_ids)
    payee = random.choice(load.wallet_ids)
    while payee == payer:
        payee = random.choice(load.wallet_ids)
    return (
        f'{{{tag}"source_wallet_id":"{payer}","destination_wallet_id":"{payee}",'
        '"amount":{"amount":"1.00","currency":"USD"}}'
    )
