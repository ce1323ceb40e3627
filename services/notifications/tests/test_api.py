"""The API over real tables: what a client sees, what it is refused, and that a command happens once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from contracts.ids import new_id
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.notifications_api import Bench, MakeBench

pytestmark = pytest.mark.integration

URL = "http://127.0.0.1:8080/hooks"
STRANGER = UUID("00000000-0000-7000-8000-00000000000f")


async def test_an_endpoint_tells_all_there_is(bench: Bench) -> None:
    wallet = str(wallet_in(3))
    wanted = {"description": "orders", "event_types": ["wallet.opened.v1"], "wallet_ids": [wallet]}
    created = await bench.client.post("webhook-endpoints", {"url": URL, **wanted})

    body = created.json()
    assert created.headers["location"] == f"/v1/webhook-endpoints/{body['id']}"
    assert body.pop("secret").startswith("whsec_")
    assert body == {
        "id": body["id"],
        "url": URL,
        **wanted,
        "status": "active",
        "disabled_reason": None,
        "failing_since": None,
        "created_at": body["created_at"],
        "updated_at": body["created_at"],
    }
    assert await bench.client.endpoint_now(body["id"]) == body
    assert (await bench.client.get("webhook-endpoints")).json() == {"data": [body], "next_cursor": None}


async def test_a_change_replaces_what_it_names(bench: Bench) -> None:
    wallet = str(wallet_in(3))
    endpoint = await bench.client.endpoint(URL, description="orders", event_types=["wallet.opened.v1"])
    path = f"/v1/webhook-endpoints/{endpoint['id']}"

    changed = await bench.client.http.patch(path, json={"description": None, "wallet_ids": [wallet]})

    assert changed.status_code == 200
    told = {name: changed.json()[name] for name in ("url", "description", "event_types", "wallet_ids")}
    assert told == {"url": URL, "description": None, "event_types": ["wallet.opened.v1"], "wallet_ids": [wallet]}
    assert (await bench.client.http.patch(path, json={"wallet_ids": []})).json()["wallet_ids"] == []
    assert (await bench.client.http.patch(path, json={"url": "http://10.0.0.1/"})).status_code == 422


async def test_a_repeat_is_answered_without_the_secret(bench: Bench) -> None:
    body = {"url": URL, "event_types": []}
    first = await bench.client.post("webhook-endpoints", body, key="same")
    again = await bench.client.post("webhook-endpoints", body, key="same")
    other = await bench.client.post("webhook-endpoints", {"url": URL + "/other"}, key="same")

    assert again.status_code == first.status_code == 201
    assert again.json() == {**first.json(), "secret": None}
    assert again.headers["location"] == first.headers["location"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await bench.client.get("webhook-endpoints")).json()["data"]) == 1


SPELLINGS = [
    {"description": None},
    {"description": ""},
    {"event_types": [], "wallet_ids": []},
    {"url": URL, "wallet_ids": []},
]


@pytest.mark.parametrize("otherwise", SPELLINGS)
async def test_what_is_left_out_is_the_same_as_what_is_empty(bench: Bench, otherwise: dict[str, Any]) -> None:
    first = await bench.client.post("webhook-endpoints", {"url": URL}, key="k")
    again = await bench.client.post("webhook-endpoints", {"url": URL} | otherwise, key="k")

    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (201, 201, "true")


async def test_ids_and_instants_spelt_otherwise_are_the_same_request(bench: Bench) -> None:
    one, two = str(new_id()), str(new_id())
    first = await bench.client.post("webhook-endpoints", {"url": URL, "wallet_ids": [one, two]}, key="k")
    again = await bench.client.post("webhook-endpoints", {"url": URL, "wallet_ids": [two, one.upper()]}, key="k")
    other = await bench.client.post("webhook-endpoints", {"url": URL, "wallet_ids": [one]}, key="k")
    path = f"webhook-endpoints/{first.json()['id']}"
    paused = [await bench.client.post(each, key="p") for each in (f"{path}/pause", f"{path}/pause")]
    capitals = await bench.client.post(f"webhook-endpoints/{first.json()['id'].upper()}/pause", key="p")
    await bench.client.post(f"{path}/resume")
    instants = ("2026-01-01T00:00:00Z", "2026-01-01t01:00:00.000+01:00")
    recovered = [await bench.client.post(f"{path}/recover", {"since": each}, key="r") for each in instants]

    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    for answer in (paused[1], capitals, recovered[1]):
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")


@pytest.mark.parametrize("body", [b"", b"{}", b" { }\r\n"])
async def test_a_route_that_takes_nothing_takes_it_in_any_spelling(bench: Bench, body: bytes) -> None:
    endpoint = await bench.client.endpoint(URL)
    headers = {"Idempotency-Key": "p", "Content-Type": "application/json"}

    answer = await bench.client.http.post(
        f"/v1/webhook-endpoints/{endpoint['id']}/pause", content=body, headers=headers
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("since", ["20260101T000000Z", "2026-W01-1T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01"])
async def test_an_instant_is_rfc_3339(bench: Bench, since: str) -> None:
    endpoint = await bench.client.endpoint(URL)

    answer = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/recover", {"since": since})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/since")


async def test_a_secret_is_nowhere_in_the_database(bench: Bench) -> None:
    endpoint = await bench.client.endpoint(URL)
    async with bench.pool.connection() as connection:
        stored = await connection.fetchval("select body from notifications.idempotency")
        stored = await connection.fetchval("select sealed from notifications.endpoint_secret")
    secret = endpoint["secret"].removeprefix("whsec_").encode()
    assert secret not in stored
    assert secret not in stored


async def test_of_many_at_once_under_one_key_one_happens(bench: Bench) -> None:
    answers = await asyncio.gather(
        *[bench.client.post("webhook-endpoints", {"url": URL}, key="same") for _ in range(8)]
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.json()["secret"] is None for answer in answers].count(False) == 1


async def test_a_key_is_free_after_what_was_invalid(bench: Bench) -> None:
    refused = await bench.client.post("webhook-endpoints", {"url": "ftp://x.example"}, key="key")
    unknown = await bench.client.post(f"webhook-endpoints/{new_id()}/pause", key="key")
    created = await bench.client.post("webhook-endpoints", {"url": URL}, key="key")
    assert [answer.status_code for answer in (refused, unknown, created)] == [422, 404, 201]


async def test_a_refusal_by_a_rule_is_stored(make_bench: MakeBench) -> None:
    async with make_bench(notifications_endpoints_max=1) as bench:
        endpoint = await bench.client.endpoint(URL)
        refused = await bench.client.post("webhook-endpoints", {"url": URL}, key="key")
        await bench.client.http.delete(f"/v1/webhook-endpoints/{endpoint['id']}")
        again = await bench.client.post("webhook-endpoints", {"url": URL}, key="key")

        assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (
            409,
            "endpoint_limit_reached",
            1,
        )
        assert again.json() == refused.json()
        assert again.headers["content-type"] == "application/problem+json"
        assert again.headers["idempotency-replayed"] == "true"
        await bench.client.endpoint(URL)


async def test_a_paused_endpoint_is_not_tested(bench: Bench) -> None:
    endpoint = await bench.client.endpoint(URL)
    await bench.client.post(f"webhook-endpoints/{endpoint['id']}/pause")
    for path, body in (("test", None), ("recover", {"since": "2026-01-01T00:00:00Z"})):
        refused = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/{path}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_not_active")


FORBIDDEN_URLS = [
    ("http://example.com/", "url_scheme"),
    ("ftp://example.com/", "url_scheme"),
    ("file:///etc/passwd", "url_scheme"),
    ("https://user:password@example.com/", "url_userinfo"),
    ("https://example.com@127.0.0.1/", "url_userinfo"),
    ("https://127.0.0.1/", "url_forbidden_address"),
    ("https://2130706433/", "url_host"),
    ("https://0x7f.1/", "url_host"),
    ("https://0x7f000001/", "url_host"),
    ("https://0177.0.0.1/", "url_host"),
    ("https://127.1/", "url_host"),
    ("https://127.0.0.1./", "url_host"),
    ("https://\uff11\uff12\uff17.0.0.1/", "url_malformed"),
    ("https://example.com./", "url_host"),
    ("https://localhost/", "url_host"),
    ("https://10.1.2.3/", "url_forbidden_address"),
    ("https://100.64.0.1/", "url_forbidden_address"),
    ("https://169.254.169.254/latest/meta-data", "url_forbidden_address"),
    ("https://0.0.0.0/", "url_forbidden_address"),
    ("https://224.0.0.1/", "url_forbidden_address"),
    ("https://[::1]/", "url_forbidden_address"),
    ("https://[::]/", "url_forbidden_address"),
    ("https://[::ffff:127.0.0.1]/", "url_forbidden_address"),
    ("https://[64:ff9b::7f00:1]/", "url_forbidden_address"),
    ("https://[64:ff9b:1::1]/", "url_forbidden_address"),
    ("https://[2002:7f00:1::]/", "url_forbidden_address"),
    ("https://[2001:0:53aa:64c::1]/", "url_forbidden_address"),
    ("https://[fd00::1]/", "url_forbidden_address"),
    ("https://[fe80::1]/", "url_forbidden_address"),
    ("https://[fe80::1%25eth0]/", "url_host"),
    ("https://[fec0::1]/", "url_forbidden_address"),
    ("https://example.com:22/", "url_port"),
    ("https://example.com:70000/", "url_port"),
    ("https://example.com/#fragment", "url_malformed"),
    ("https://exa mple.com/", "url_malformed"),
    ("https:example.com", "url_malformed"),
    ("https://", "url_host"),
    ("https://nowhere.example.com/", "url_unresolvable"),
    ("https://inside.example.com/", "url_forbidden_address"),
]


async def test_every_forbidden_url_is_refused_with_its_code(make_bench: MakeBench) -> None:
    async with make_bench(notifications_allow_loopback=False) as bench:
        bench.names["inside.example.com"] = [["192.168.1.1"]]
        found = []
        for url, _ in FORBIDDEN_URLS:
            refused = await bench.client.post("webhook-endpoints", {"url": url})
            problem = refused.json()
            assert (refused.status_code, problem["code"]) == (422, "webhook_url_refused"), url
            found.append((url, problem["errors"][0]["code"]))
        assert found == FORBIDDEN_URLS
        assert (await bench.client.get("webhook-endpoints")).json()["data"] == []


INVALID_BODIES: list[tuple[Any, str, str]] = [
    ({}, "/url", "missing"),
    ({"url": 1}, "/url", "invalid_type"),
    ({"url": ""}, "/url", "too_short"),
    ({"url": "https://x.example/" + "a" * 2_000}, "/url", "too_long"),
    ({"url": URL, "nonsense": 1}, "/nonsense", "unknown_field"),
    ({"url": URL, "description": "x" * 501}, "/description", "too_long"),
    ({"url": URL, "event_types": ["wallet.exploded.v1"]}, "/event_types/0", "unknown_event_type"),
    (
        {"url": URL, "event_types": ["wallet.opened.v1", "ledger.system_entry_posted.v1"]},
        "/event_types/1",
        "unknown_event_type",
    ),
    ({"url": URL, "event_types": ["ledger.policy_changed.v1"]}, "/event_types/0", "unknown_event_type"),
    ({"url": URL, "event_types": "wallet.opened.v1"}, "/event_types", "invalid_type"),
    ({"url": URL, "wallet_ids": ["nonsense"]}, "/wallet_ids/0", "invalid_id"),
    ({"url": URL, "wallet_ids": ["01a1fe68-7567-72b4-ab67-4a9fe1eff284"] * 1_001}, "/wallet_ids", "too_many"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), INVALID_BODIES, ids=lambda value: str(value)[:40])
async def test_an_invalid_field_is_named(bench: Bench, body: Any, pointer: str, code: str) -> None:
    refused = await bench.client.post("webhook-endpoints", body)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    error = refused.json()["errors"][0]
    assert (error["pointer"], error["code"]) == (pointer, code)


async def test_what_is_no_command_is_refused(bench: Bench) -> None:
    http, path = bench.client.http, "/v1/webhook-endpoints"
    key = {"Idempotency-Key": "key"}
    answers = [
        await http.post(path, json={"url": URL}),
        await http.post(path, content=b"{", headers={**key, "content-type": "application/json"}),
        await http.post(path, content=b"{}", headers={**key, "content-type": "text/plain"}),
        await http.post(path, content=b"", headers=key),
        await http.post(path, content=b" " * 70_000, headers={**key, "content-type": "application/json"}),
        await http.put(path, json={}),
        await http.post(f"{path}?dry_run=true", json={"url": URL}, headers=key),
        await http.post(f"{path}/{new_id()}/pause", json={"force": True}, headers=key),
        await http.post(f"{path}/{new_id()}/recover", json={"since": "yesterday"}, headers=key),
        await http.get(f"{path}?limit=201"),
        await http.get(f"{path}?cursor=nonsense"),
        await http.get("/v1/deliveries?status=lost"),
        await http.get("/v1/deliveries?endpoint_id=nonsense"),
        await http.get("/v1/deliveries?event_type=nonsense"),
        await http.get("/v1/deliveries/nonsense"),
        await http.post(f"/v1/deliveries/{new_id()}/resend", headers=key),
        await http.get(f"{path}/nonsense"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (400, "invalid_idempotency_key"),
        (400, "malformed_json"),
        (415, "unsupported_media_type"),
        (400, "malformed_json"),
        (413, "body_too_large"),
        (405, "method_not_allowed"),
        (400, "invalid_query"),
        (422, "invalid_request"),
        (422, "invalid_request"),
        (400, "invalid_query"),
        (400, "invalid_cursor"),
        (400, "invalid_query"),
        (400, "invalid_query"),
        (400, "invalid_query"),
        (404, "delivery_not_found"),
        (404, "delivery_not_found"),
        (404, "endpoint_not_found"),
    ]


async def test_lists_go_page_by_page_newest_first(bench: Bench) -> None:
    ids = [(await bench.client.endpoint(f"{URL}/{number}"))["id"] for number in range(5)]
    wallets = [wallet_in(shard) for shard in range(3)]
    await bench.project(*[bench.stream.opened(wallet) for wallet in wallets])

    assert await walk(bench, "webhook-endpoints", "2") == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    pages = await walk(bench, "deliveries", "6", status="pending", event_type="wallet.opened.v1")
    assert [len(page) for page in pages] == [6, 6, 3]
    flat = [each for page in pages for each in page]
    assert flat == sorted(set(flat), reverse=True)


async def walk(bench: Bench, path: str, limit: str, **query: str) -> list[list[str]]:
    """Return the ids on each page of a list."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await bench.client.get(path, limit=limit, **query, **cursor)).json()
        found.append([item["id"] for item in page["data"]])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_what_is_anothers_is_not_there(make_bench: MakeBench, pool: Pool) -> None:
    async with make_bench() as bench, make_bench(principal_of("other", tenant_id=STRANGER)) as stranger:
        endpoint = await bench.client.endpoint(URL)
        await stranger.client.endpoint(URL)
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.deliveries()
        assert await stranger.client.deliveries() == [], "nor is another tenant's event delivered"

        path = f"webhook-endpoints/{endpoint['id']}"
        answers = [
            await stranger.client.get(path),
            await stranger.client.http.patch(f"/v1/{path}", json={"description": "mine"}),
            await stranger.client.http.delete(f"/v1/{path}"),
            *[await stranger.client.post(f"{path}/{verb}") for verb in ("pause", "resume", "test", "rotate-secret")],
            await stranger.client.post(f"{path}/recover", {"since": "2020-01-01T00:00:00Z"}),
            await stranger.client.get(f"deliveries/{delivery['id']}"),
            await stranger.client.post(f"deliveries/{delivery['id']}/resend"),
        ]
        assert {answer.status_code for answer in answers} == {404}
        listed = (await stranger.client.get("deliveries", endpoint_id=endpoint["id"])).json()
        assert listed == {"data": [], "next_cursor": None}
        assert await bench.client.endpoint_now(endpoint["id"]) == {
            name: value for name, value in endpoint.items() if name != "secret"
        }
    async with pool.connection() as connection:
        assert await connection.fetchval("select count(*) from notifications.idempotency") == 2


async def test_the_document_declares_every_key_and_body(bench: Bench) -> None:
    document = (await bench.client.http.get("/openapi.json")).json()

    posts = {path: each["post"] for path, each in document["paths"].items() if "post" in each}
    assert len(posts) == 7
    for operation in posts.values():
        assert any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
        assert {"400", "401", "409", "413", "415", "422", "503"} <= set(operation["responses"])
        assert "default" not in operation["responses"]
    schema = document["components"]["schemas"]["CreateEndpoint"]
    assert schema["additionalProperties"] is False
    offered = schema["properties"]["event_types"]["items"]["enum"]
    assert all(name.startswith("wallet.") for name in offered)
