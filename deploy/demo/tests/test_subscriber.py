"""The subscriber keeps what has a right signature, and tells what has not."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from demo.receiver import Connection, Inbox
from demo.subscriber import Subscriber

SECRET = "whsec_" + "c2VjcmV0LW9mLTI0LWJ5dGVzLWxvbmc="
EVENT = UUID("01a1fe68-757b-78b2-a863-8e7615c1a489")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    made = Inbox(tmp_path / "received.sqlite")
    made.verifiers["/hooks"] = Webhook(SECRET)
    return made


def webhook(message_id: str = "msg_1") -> tuple[dict[str, str], str]:
    body = json.dumps(
        {"type": "wallet.opened.v1", "timestamp": "2026-11-21T14:00:21.1Z", "data": {"event_id": str(EVENT)}}
    )
    now = datetime.now(tz=UTC)  # noqa: TID251  a signature is of its moment
    signature = Webhook(SECRET).sign(message_id, now, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }, body


def subscriber(tmp_path: Path, process: asyncio.subprocess.Process | None = None) -> Subscriber:
    return Subscriber(tmp_path / "received.sqlite", 0, process)  # type: ignore[arg-type]  # its file alone is read


async def test_every_signature_is_verified(inbox: Inbox, tmp_path: Path) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(inbox), "127.0.0.1", 0)
    headers, body = webhook()
    async with server, httpx2.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        right = await client.post(f"{url}/hooks", headers=headers, content=body)
        again = await client.post(f"{url}/hooks", headers=headers, content=body)
        changed = await client.post(f"{url}/hooks", headers=headers, content=body.replace("opened", "closed"))
        elsewhere = await client.post(f"{url}/other", headers=headers, content=body)
    inbox.flush()

    assert [each.status_code for each in (right, again, changed, elsewhere)] == [204, 204, 401, 401]
    assert [each.event_id for each in subscriber(tmp_path).received()] == [EVENT, EVENT]
    assert subscriber(tmp_path).refused() == 2


def test_what_is_flushed_is_on_disk(inbox: Inbox, tmp_path: Path) -> None:
    headers, body = webhook()

    assert inbox.take("/hooks", headers, body.encode())
    inbox.flush()

    with closing(sqlite3.connect(tmp_path / "received.sqlite")) as database:
        assert database.execute("select webhook_id, is_verified from received").fetchall() == [("msg_1", 1)]
