"""Tenants, subjects, rate limits, and what callers ask about themselves, on a real database."""

from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from access.domain.subjects import RESERVED
from contracts.access import RateLimitsChanged, RatePolicyBody, SubjectChanged, TenantChanged
from contracts.scopes import SCOPES, TENANTS_WRITE, Kind, mask_for
from servicekit.principal import SERVICE_SUBJECTS
from testkit.access import TENANT, principal_of
from testkit.tokens import Signer

pytestmark = pytest.mark.integration

ANOTHER = UUID("01900000-0000-7000-8000-00000000beef")


async def with_login(bench: Any) -> None:
    wanted = {"name": "login", "issuer": "https://a/", "audience": "a", "kinds": ["user"]}
    assert (await bench.post("issuers", wanted | {"key_set": {"keys": [Signer().jwk]}})).status_code == 201


# -- tenants


async def test_a_tenant_is_made_suspended_and_resumed(bench: Any) -> None:
    made = (await bench.post("tenants", {"name": "Shop"})).json()
    suspended = await bench.post(f"tenants/{made['id']}/suspend")
    again = await bench.post(f"tenants/{made['id']}/suspend")
    resumed = await bench.post(f"tenants/{made['id']}/resume")

    assert [each.json()["status"] for each in (suspended, again, resumed)] == ["suspended", "suspended", "active"]
    told = [event for event in await bench.events() if isinstance(event, TenantChanged)]
    assert [event.status for event in told] == ["active", "suspended", "active"]
    assert "access-position" not in again.headers, "nothing changed"
    assert (await bench.get(f"tenants/{made['id']}")).json() == resumed.json()
    assert [each["id"] for each in (await bench.get("tenants")).json()["data"]] == [made["id"]]


async def test_nobody_suspends_its_own_tenant(bench: Any) -> None:
    made = (await bench.post("tenants", {"name": "Shop"})).json()
    bench.authority.principal = principal_of(tenant_id=UUID(made["id"]))
    refused = await bench.post(f"tenants/{made['id']}/suspend")

    assert (refused.status_code, refused.json()["code"]) == (409, "own_tenant")


async def test_without_the_scope_of_tenants_one_sees_ones_own(bench: Any) -> None:
    mine, other = [(await bench.post("tenants", {"name": name})).json() for name in ("Mine", "Other")]
    scopes = mask_for(Kind.OPERATOR) & ~TENANTS_WRITE.mask
    bench.authority.principal = principal_of(tenant_id=UUID(mine["id"]), scopes=scopes)

    assert (await bench.get("tenants")).json()["data"] == [mine]
    assert (await bench.get(f"tenants/{mine['id']}")).status_code == 200
    assert (await bench.get(f"tenants/{other['id']}")).status_code == 404
    for path in ("tenants", f"tenants/{other['id']}/suspend", f"tenants/{mine['id']}/resume"):
        refused = await bench.post(path, {"name": "x"} if path == "tenants" else None)
        assert (refused.status_code, refused.json()["required_scope"]) == (403, "tenants:write")


@pytest.mark.parametrize("name", ["", "a" * 101, "a\nb", None, 1])
async def test_a_tenants_name_is_a_line(bench: Any, name: Any) -> None:
    before = await bench.rows()

    assert (await bench.post("tenants", {"name": name})).status_code == 422
    assert await bench.rows() == before


# -- subjects


async def test_a_subject_is_disabled_enabled_and_signed_out(bench: Any) -> None:
    await with_login(bench)
    path = f"subjects/{quote('login|Ann/1 é', safe='')}"
    fresh = (await bench.get(path)).json()
    assert fresh == {"subject": "login|Ann/1 é", "status": "active", "tokens_valid_from": None}

    disabled, enabled, out = [await bench.post(f"{path}/{verb}") for verb in ("disable", "enable", "sign-out")]

    assert [each.json()["status"] for each in (disabled, enabled, out)] == ["disabled", "active", "active"]
    assert datetime.fromisoformat(out.json()["tokens_valid_from"]).utcoffset() is not None
    told = [event for event in await bench.events() if isinstance(event, SubjectChanged)]
    assert [(event.status, event.tokens_valid_from) for event in told] == [
        ("disabled", None),
        ("active", None),
        ("active", out.json()["tokens_valid_from"]),
    ]
    assert (await bench.get(path)).json() == out.json()
    later = await bench.post(f"{path}/sign-out")
    assert later.json()["tokens_valid_from"] > out.json()["tokens_valid_from"]


async def test_subjects_that_differ_by_case_are_two(bench: Any) -> None:
    await with_login(bench)
    assert (await bench.post("subjects/login%7Cann/disable", key="k")).status_code == 200
    reused = await bench.post("subjects/login%7CANN/disable", key="k")

    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (await bench.get("subjects/login%7CANN")).json()["status"] == "active"


async def test_who_can_be_nobody_is_not_found(bench: Any) -> None:
    await with_login(bench)
    account = await bench.account()
    assert (await bench.post(f"subjects/svc:{account['id']}/disable")).status_code == 200
    before = await bench.rows()
    nobodies = ["ann", "other|ann", "login|", "|ann", "login|" + "a" * 250, "svc:", "svc:x", "login|a%00b"]
    nobodies += [*SERVICE_SUBJECTS, "fraud|x", f"svc:{account['id'].upper()}", f"svc:{ANOTHER}"]
    for subject in nobodies:
        path = f"subjects/{quote(subject, safe='%')}"
        answers = [await bench.get(path), await bench.post(f"{path}/disable"), await bench.post(f"{path}/sign-out")]
        assert [answer.status_code for answer in answers] == [404] * 3, subject
    bench.authority.principal = principal_of(tenant_id=ANOTHER)
    assert (await bench.get("subjects/login%7Cann")).status_code == 404
    assert await bench.rows() == before


def test_the_platforms_own_subjects_are_reserved_names() -> None:
    assert SERVICE_SUBJECTS | {"svc"} <= RESERVED


# -- rate limits and about


async def test_rates_are_replaced_as_a_whole_under_a_key(bench: Any) -> None:
    limits = {"command": {"per_s": 10, "burst": 20}, "read": {"per_s": 5, "burst": 5}}
    first = await bench.send("PUT", "rate-limits", {"limits": limits}, key="a")
    again = await bench.send("PUT", "rate-limits", {"limits": limits}, key="b")
    none = await bench.send("PUT", "rate-limits", {"limits": {}})

    assert first.json() == {"tenant_id": str(TENANT), "limits": limits} == again.json()
    assert "access-position" not in again.headers, "nothing changed"
    assert none.json()["limits"] == {} == (await bench.get("rate-limits")).json()["limits"]
    rate = RatePolicyBody(per_s=10, burst=20)
    assert await bench.events() == [
        RateLimitsChanged(limits={"command": rate, "read": RatePolicyBody(per_s=5, burst=5)}),
        RateLimitsChanged(limits={}),
    ]


@pytest.mark.parametrize(
    "limits",
    [
        {"Command": {"per_s": 1, "burst": 1}},
        {"": {"per_s": 1, "burst": 1}},
        {"command": {"per_s": 0, "burst": 1}},
        {"command": {"per_s": 1, "burst": 1_000_001}},
        {"command": {"per_s": 1}},
        {"command": {"per_s": True, "burst": 1}},
        {f"c_{chr(97 + n)}": {"per_s": 1, "burst": 1} for n in range(21)},
        [],
    ],
)
async def test_rates_that_cannot_be_change_nothing(bench: Any, limits: Any) -> None:
    before = await bench.rows()

    assert (await bench.send("PUT", "rate-limits", {"limits": limits})).status_code == 422
    assert await bench.rows() == before


async def test_a_tenant_does_not_set_its_own_rates(bench: Any) -> None:
    bench.authority.principal = principal_of(kind=Kind.SERVICE)
    refused = await bench.send("PUT", "rate-limits", {"limits": {}})

    assert (refused.status_code, refused.json()["required_scope"]) == (403, "tenants:write")


async def test_a_caller_learns_who_it_is(bench: Any) -> None:
    bench.authority.principal = principal_of("login|ann", kind=Kind.USER, scopes=1, acts_for=frozenset({"b", "a"}))

    assert (await bench.get("whoami")).json() == {
        "tenant_id": str(TENANT),
        "subject": "login|ann",
        "kind": "user",
        "scopes": ["wallets:read"],
        "acts_for": ["a", "b"],
        "credential_id": "test",
    }
    assert [each["name"] for each in (await bench.get("scopes")).json()["data"]] == [scope.name for scope in SCOPES]
