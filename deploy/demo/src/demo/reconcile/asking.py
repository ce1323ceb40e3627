"""Asking the APIs of a drained platform, again and again while they cannot answer."""

import asyncio
from typing import Any, Final

import msgspec

from contracts.ids import new_id
from demo.http_client import HttpPool, Response
from demo.stack import DemoError

TRIES_MAX: Final = 20
WAITED_S_MAX: Final = 180.0
"""Until a period may be closed, or a job has ended."""
POLL_S: Final = 0.25
_OK: Final = 200
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


async def get(pool: HttpPool, path: str) -> dict[str, Any]:
    """Return the body at *path*, asking again while the service cannot answer."""
    body: dict[str, Any] = _decode((await fetch(pool, path)).body)
    return body


async def fetch(pool: HttpPool, path: str) -> Response:
    """Return the answer at *path*, asking again while the service cannot answer."""
    why = ""
    for _ in range(TRIES_MAX):
        try:
            answer = await pool.get(path)
        except ConnectionError as error:
            why = str(error)
            continue
        if answer.status == _OK:
            return answer
        why = _told(answer)
        await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
    raise DemoError(f"GET {path} was not answered: {why}")


async def file_of_job(pool: HttpPool, path: str, body: dict[str, Any]) -> bytes:
    """Have the job that *body* asks for at *path* carried out; return its file."""
    job: dict[str, Any] = _decode((await _posted(pool, path, body)).body)
    async with asyncio.timeout(WAITED_S_MAX):
        while job["status"] in ("queued", "running"):
            await asyncio.sleep(POLL_S)
            job = await get(pool, f"{path}/{job['id']}")
    if job["status"] != "succeeded":
        raise DemoError(f"{path} {body}: {job['status']}, {job['failure']}")
    return (await fetch(pool, f"{path}/{job['id']}/file")).body


async def made(pool: HttpPool, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what *path* makes of *body*, once it can."""
    found: dict[str, Any] = _decode((await _posted(pool, path, body)).body)
    return found


async def _posted(pool: HttpPool, path: str, body: dict[str, Any]) -> Response:
    """Post *body* under one key until it is done."""
    key, text = str(new_id()), _encode(body)
    async with asyncio.timeout(WAITED_S_MAX):
        while True:
            answer = await pool.post(path, key, text)
            if answer.status // 100 == _OK // 100:
                return answer
            if "retry-after" not in answer.headers:
                raise DemoError(f"POST {path} was refused: {_told(answer)}")
            await asyncio.sleep(float(answer.headers["retry-after"]))


def _told(answer: Response) -> str:
    return f"{answer.status} {answer.body.decode(errors='replace')}"
