"""API keys on a real database: shown once, never more than their maker's, two at a time."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from contracts.access import ApiKeyChanged, ServiceAccountChanged
from contracts.api_keys import parse_key
from contracts.positions import parse_position
from contracts.scopes import CREDENTIALS_WRITE, WALLETS_READ, Kind, mask_for
from testkit.access import principal_of

pytestmark = pytest.mark.integration

ANOTHER = UUID("01900000-0000-7000-8000-00000000beef")


def position_of(answer: httpx2.Response) -> dict[int, int]:
    return parse_position(answer.headers["access-position"])


async def test_a_key_is_shown_once_and_told_with_its_digest(bench: Any) -> None:
    account = await bench.account()
    path = f"service-accounts/{account['id']}/keys"
    wanted = {
        "scopes": ["transfers:create", "wallets:read", "wallets:read"],
        "acts_for": ["b", "a"],
        "ranges": ["10.0.0.1"],
    }
    first = await bench.post(path, wanted, key="k")
    again = await bench.post(path, wanted, key="k")

    made = first.json()
    parsed = parse_key(made["key"])
    assert parsed is not None
    assert str(parsed.id) == made["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == made | {"key": None}
    assert position_of(again) == position_of(first)
    event = (await bench.events())[-1]
    assert event == ApiKeyChanged(
        key_id=made["id"],
        service_account_id=account["id"],
        subject=f"svc:{account['id']}",
        kind="service",
        scopes=["wallets:read", "transfers:create"],
        acts_for=["a", "b"],
        ranges=["10.0.0.1/32"],
        digest=parsed.digest.hex(),
        created_at=made["created_at"],
        ends_at=made["expires_at"],
        is_revoked=False,
    )
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lifetime == timedelta(days=90)
    assert (await bench.get(f"api-keys/{made['id']}")).json() == {k: v for k, v in made.items() if k != "key"}
    assert [each["id"] for each in (await bench.get(path)).json()["data"]] == [made["id"]]
    async with bench.pool.connection() as connection:
        for table in ("access.api_key", "access.idempotency", "servicekit.outbox"):
            text = await connection.fetchval(f"select string_agg(t::text, '') from {table} as t")
            assert made["key"].split("_")[2] not in text, "no secret is stored"
            stored = await connection.fetchval("select string_agg(encode(body, 'escape'), '') from access.idempotency")
    assert made["key"] not in stored


async def test_an_account_has_two_live_keys(bench: Any) -> None:
    account = await bench.account()
    first, _ = await bench.api_key(account), await bench.api_key(account)
    refused = await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []}, key="third")

    assert (refused.status_code, refused.json()["code"]) == (409, "api_key_limit_reached")
    await bench.post(f"api-keys/{first['id']}/revoke")
    again = await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []}, key="third")
    assert again.status_code == 409, "a rule's refusal is replayed"
    await bench.api_key(account)


async def test_of_many_at_once_two_are_made(bench: Any) -> None:
    account = await bench.account()
    path = f"service-accounts/{account['id']}/keys"
    answers = await asyncio.gather(*(bench.post(path, {"scopes": []}) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    assert sum(isinstance(event, ApiKeyChanged) for event in await bench.events()) == 2


async def test_a_rotation_ends_the_old_key_at_its_overlap(bench: Any) -> None:
    account = await bench.account()
    old = await bench.api_key(account, acts_for=["a"], ranges=["10.0.0.0/8"])
    rotated = await bench.post(f"api-keys/{old['id']}/rotate", {"overlap_s": 3600}, key="r")
    again = await bench.post(f"api-keys/{old['id']}/rotate", {"overlap_s": 3600}, key="r")

    made = rotated.json()
    assert rotated.status_code == 201
    assert again.json() == made | {"key": None}
    replaced = made["replaced"]
    overlap = datetime.fromisoformat(replaced["ends_at"]) - datetime.fromisoformat(made["created_at"])
    assert overlap == timedelta(hours=1)
    assert replaced["replaced_by"] == made["id"]
    assert [made[name] for name in ("scopes", "acts_for", "ranges")] == [["wallets:read"], ["a"], ["10.0.0.0/8"]]
    told = {event.key_id: event for event in await bench.events() if isinstance(event, ApiKeyChanged)}
    assert told[old["id"]].ends_at == replaced["ends_at"]
    assert len(position_of(rotated)) == len({UUID(each).bytes[-1] & 63 for each in (old["id"], made["id"])})

    third = await bench.post(f"api-keys/{made['id']}/rotate", {"overlap_s": 0})
    assert third.status_code == 201, "a key that ends at once makes room"
    ended = await bench.post(f"api-keys/{made['id']}/rotate", {"overlap_s": 0})
    assert (ended.status_code, ended.json()["code"]) == (409, "api_key_not_live")
    full = await bench.post(f"api-keys/{third.json()['id']}/rotate", {"overlap_s": 60})
    assert (full.status_code, full.json()["code"]) == (409, "api_key_limit_reached")


@pytest.mark.parametrize("overlap", [-1, 604_801, "1", 1.5, None, True])
async def test_an_overlap_is_up_to_a_week(bench: Any, overlap: Any) -> None:
    key = await bench.api_key(await bench.account())
    before = await bench.rows()
    refused = await bench.post(f"api-keys/{key['id']}/rotate", {"overlap_s": overlap})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert await bench.rows() == before


async def test_a_revocation_is_told_once(bench: Any) -> None:
    key = await bench.api_key(await bench.account())
    revoked = await bench.post(f"api-keys/{key['id']}/revoke")
    again = await bench.post(f"api-keys/{key['id']}/revoke")

    assert revoked.json() == again.json()
    assert revoked.json()["is_revoked"]
    assert "access-position" in revoked.headers
    assert "access-position" not in again.headers
    assert sum(isinstance(event, ApiKeyChanged) for event in await bench.events()) == 2


async def test_a_deleted_account_takes_its_keys_along(bench: Any) -> None:
    account = await bench.account()
    key = await bench.api_key(account)
    gone = await bench.http.delete(f"/v1/service-accounts/{account['id']}")

    assert gone.status_code == 204
    *_, told, last = await bench.events()
    assert isinstance(told, ApiKeyChanged | ServiceAccountChanged)
    assert {type(told), type(last)} == {ApiKeyChanged, ServiceAccountChanged}
    assert all(
        each.is_revoked if isinstance(each, ApiKeyChanged) else each.status == "deleted" for each in (told, last)
    )
    for answer in (
        await bench.get(f"api-keys/{key['id']}"),
        await bench.get(f"service-accounts/{account['id']}"),
        await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []}),
        await bench.post(f"api-keys/{key['id']}/rotate", {"overlap_s": 0}),
        await bench.http.delete(f"/v1/service-accounts/{account['id']}"),
    ):
        assert answer.status_code == 404


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown scope": ({"scopes": ["wallets:read", "wallets:write"]}, "/scopes/1", "unknown_scope"),
    "an operator's scope": ({"scopes": ["tenants:write"]}, "/scopes/0", "scope_not_for_kind"),
    "101 owners": ({"acts_for": [str(n) for n in range(101)]}, "/acts_for", "too_many"),
    "an empty owner": ({"acts_for": [""]}, "/acts_for/0", "too_short"),
    "21 ranges": ({"ranges": [f"10.0.{n}.0/24" for n in range(21)]}, "/ranges", "too_many"),
    "host bits": ({"ranges": ["10.0.0.1/8"]}, "/ranges/0", "range_host_bits"),
    "a zone": ({"ranges": ["fe80::1%eth0"]}, "/ranges/0", "range_zone"),
    "a mapped range": ({"ranges": ["::ffff:10.0.0.0/104"]}, "/ranges/0", "range_mapped"),
    "everywhere": ({"ranges": ["10.0.0.0/8", "0.0.0.0/0"]}, "/ranges/1", "range_everywhere"),
    "no range": ({"ranges": ["here"]}, "/ranges/0", "range_malformed"),
    "an expiry that is past": ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "invalid_value"),
    "an expiry too far": ({"expires_at": "2100-01-01T00:00:00Z"}, "/expires_at", "invalid_value"),
    "an expiry that is none": ({"expires_at": "tomorrow"}, "/expires_at", "invalid_value"),
    "a field that is none": ({"kind": "operator"}, "/kind", "unknown_field"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_key_that_cannot_be_changes_nothing_and_leaves_the_idempotency_key_free(bench: Any, name: str) -> None:
    wanted, pointer, code = BAD[name]
    account = await bench.account()
    before = await bench.rows()
    refused = await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []} | wanted, key="k")

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]][:1] == [(pointer, code)]
    assert await bench.rows() == before
    assert (await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []}, key="k")).status_code == 201


async def test_nobody_gives_what_it_does_not_hold(bench: Any) -> None:
    account, operator = await bench.account(), await bench.account("operator", "staff")
    wide = await bench.api_key(account, scopes=["wallets:read", "deposits:create"])
    scopes = CREDENTIALS_WRITE.mask | WALLETS_READ.mask
    bench.authority.principal = principal_of(kind=Kind.SERVICE, scopes=scopes, acts_for=frozenset({"a", "b"}))
    before = await bench.rows()
    path = f"service-accounts/{account['id']}/keys"
    answers = {
        "scope": await bench.post(path, {"scopes": ["transfers:create"], "acts_for": ["a"]}),
        "owner": await bench.post(path, {"scopes": ["wallets:read"], "acts_for": ["a", "c"]}),
        "every owner": await bench.post(path, {"scopes": ["wallets:read"]}),
        "kind": await bench.post("service-accounts", {"name": "x", "kind": "operator"}),
        "key of an operator": await bench.post(
            f"service-accounts/{operator['id']}/keys", {"scopes": [], "acts_for": []}
        ),
        "rotation": await bench.post(f"api-keys/{wide['id']}/rotate", {"overlap_s": 0}),
    }

    assert {name: (each.status_code, each.json()["code"]) for name, each in answers.items()} == dict.fromkeys(
        answers, (403, "forbidden")
    )
    assert answers["scope"].json()["required_scope"] == "transfers:create"
    assert answers["scope"].json()["kind"] == "service"
    assert await bench.rows() == before
    assert (await bench.post(path, {"scopes": ["wallets:read"], "acts_for": ["a"]})).status_code == 201


async def test_what_is_anothers_is_not_found(bench: Any) -> None:
    account = await bench.account()
    key = await bench.api_key(account)
    bench.authority.principal = principal_of(tenant_id=ANOTHER)
    before = await bench.rows()
    unknown = "01900000-0000-7000-8000-0000000000ff"
    about: list[tuple[str, str, str, Any]] = [
        (account["id"], "GET", "service-accounts/{}", None),
        (account["id"], "GET", "service-accounts/{}/keys", None),
        (account["id"], "POST", "service-accounts/{}/keys", {"scopes": []}),
        (account["id"], "PUT", "service-accounts/{}", {"name": "x"}),
        (account["id"], "DELETE", "service-accounts/{}", None),
        (key["id"], "GET", "api-keys/{}", None),
        (key["id"], "POST", "api-keys/{}/rotate", {"overlap_s": 0}),
        (key["id"], "POST", "api-keys/{}/revoke", None),
    ]
    for anothers, verb, path, body in about:
        answers = [await bench.send(verb, path.format(each), body) for each in (anothers, unknown)]
        assert [each.status_code for each in answers] == [404, 404], (verb, path)
        assert answers[0].text.replace(anothers, unknown) == answers[1].text
    assert (await bench.get("service-accounts")).json()["data"] == []
    assert await bench.rows() == before


async def test_without_its_scope_nobody_is_answered(bench: Any) -> None:
    account = await bench.account()
    bench.authority.principal = principal_of(scopes=mask_for(Kind.OPERATOR) & ~CREDENTIALS_WRITE.mask)
    refused = await bench.post(f"service-accounts/{account['id']}/keys", {"scopes": []})

    assert refused.status_code == 403
    assert refused.json()["required_scope"] == "credentials:write"


async def test_of_changes_at_once_the_last_event_is_the_last_state(bench: Any) -> None:
    account = await bench.account()
    answers = await asyncio.gather(
        *(bench.send("PUT", f"service-accounts/{account['id']}", {"name": f"n{n}"}) for n in range(5))
    )

    assert {answer.status_code for answer in answers} == {200}
    last = [event for event in await bench.events() if isinstance(event, ServiceAccountChanged)][-1]
    now = (await bench.get(f"service-accounts/{account['id']}")).json()
    assert last.name == now["name"]
