"""A receiver's answer, read as far as it is believed: the status decides, whatever follows it and however broken."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final

BODY_HEAD_BYTES_MAX: Final = 1_024
FIELDS_MAX: Final = 200
INTERIM_MAX: Final = 10
"""Answers that announce another one (1xx): more of them are no answer."""
INTERIM: Final = range(100, 200)
SWITCHING_PROTOCOLS: Final = 101
NO_BODY: Final = frozenset({204, 304})

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class NotHttp(Exception):
    """What came is no HTTP/1.1."""


@dataclass(slots=True)
class Response:
    """An answer: its *fields* by lower-case name, the first of each, and the beginning of its body."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body_head: bytearray = field(default_factory=bytearray)


async def read_status(reader: asyncio.StreamReader) -> int:
    """Return the final status. Raises NotHttp, and what the stream does."""
    for _ in range(INTERIM_MAX):
        match = _STATUS_LINE.fullmatch(await _line(reader))
        if match is None:
            break
        status = int(match[1])
        if status not in INTERIM or status == SWITCHING_PROTOCOLS:
            return status
        await read_fields(reader, Response(status=status))
    raise NotHttp


async def read_fields(reader: asyncio.StreamReader, response: Response) -> None:
    """Add the header fields to *response*, as far as they are ones. Raises as `read_status`."""
    for _ in range(FIELDS_MAX):
        line = (await _line(reader)).strip()
        if not line:
            return
        name, _, value = line.decode("latin-1").partition(":")
        response.fields.setdefault(name.lower(), value.strip())
    raise NotHttp


async def read_body_head(
    reader: asyncio.StreamReader, response: Response, bytes_max: int = BODY_HEAD_BYTES_MAX
) -> None:
    """Add the beginning of the body, *bytes_max* of it, to *response*.

    Raises as `read_status`; what had come until then is kept.
    """
    if response.status in NO_BODY:
        return
    if response.fields.get("transfer-encoding", "").lower() == "chunked":
        while len(response.body_head) < bytes_max:
            match = _CHUNK_LINE.fullmatch(await _line(reader))
            if match is None or not int(match[1], 16):
                return
            await _take(reader, response, int(match[1], 16), bytes_max)
            await _line(reader)
        return
    length = _LENGTH.fullmatch(response.fields.get("content-length", ""))
    await _take(reader, response, bytes_max if length is None else int(length[0]), bytes_max)


async def _take(reader: asyncio.StreamReader, response: Response, length: int, bytes_max: int) -> None:
    wanted = min(len(response.body_head) + length, bytes_max)
    while len(response.body_head) < wanted and (some := await reader.read(wanted - len(response.body_head))):
        response.body_head += some


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise NotHttp from None
