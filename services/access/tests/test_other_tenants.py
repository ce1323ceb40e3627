"""Who may make tenants gives a new one its first key and its rates; to all others there is no tenant but their own."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.domain.grants import Grantor, check_reach
from access.domain.outcomes import Entity, Forbidden, Unknown
from contracts.ids import new_id, new_id_text
from contracts.scopes import (
    CREDENTIALS_READ,
    CREDENTIALS_WRITE,
    SCOPES,
    TENANTS_WRITE,
    Kind,
    mask_for,
    mask_of,
)
from testkit.access import principal_of

integration = pytest.mark.integration

OWN, OTHER = new_id(), new_id()
CREDENTIALS = CREDENTIALS_READ.mask | CREDENTIALS_WRITE.mask
LIMITS = {"limits": {"user": {"per_s": 3, "burst": 9}}}

grantors = st.builds(
    Grantor,
    kind=st.sampled_from(sorted(Kind)),
    scopes=st.integers(0, (1 << len(SCOPES)) - 1),
    acts_for=st.none() | st.frozensets(st.sampled_from("abc")),
)


async def new_tenant(bench: Any) -> str:
    made = await bench.post("tenants", {"name": "New"})
    assert made.status_code == 201, made.text
    tenant_id: str = made.json()["id"]
    return tenant_id


async def with_account(bench: Any, kind: str = "service") -> tuple[str, str]:
    """Make a tenant with an account as its maker does; return both ids."""
    tenant = await new_tenant(bench)
    made = await bench.post("service-accounts", {"name": "first", "kind": kind, "tenant_id": tenant})
    assert made.status_code == 201, made.text
    return tenant, made.json()["id"]


def asked_for(tenant: str, account: str) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Return every request that may name a tenant."""
    return [
        ("POST", "service-accounts", {"name": "n", "tenant_id": tenant}),
        ("POST", f"service-accounts/{account}/keys", {"scopes": [], "tenant_id": tenant}),
        ("PUT", f"rate-limits?tenant_id={tenant}", LIMITS),
        ("GET", f"rate-limits?tenant_id={tenant}", None),
    ]


@given(grantors)
def test_another_tenant_is_there_for_who_may_make_tenants_alone(grantor: Grantor) -> None:
    why_not = check_reach(grantor, own=OWN, named=OTHER)

    assert check_reach(grantor, own=OWN, named=OWN) is None
    if not grantor.scopes & TENANTS_WRITE.mask:
        assert why_not == Unknown(Entity.TENANT)
    elif grantor.acts_for is not None:
        assert isinstance(why_not, Forbidden)
    else:
        assert why_not is None


@integration
async def test_a_new_tenants_first_key_is_that_tenants_and_makes_its_others(bench: Any) -> None:
    tenant, account = await with_account(bench)
    scopes = ["credentials:read", "credentials:write", "wallets:read"]
    made = await bench.post(f"service-accounts/{account}/keys", {"scopes": scopes, "tenant_id": tenant}, key="k")
    again = await bench.post(f"service-accounts/{account}/keys", {"scopes": scopes, "tenant_id": tenant}, key="k")

    key = made.json()
    assert (made.status_code, key["subject"]) == (201, f"svc:{account}")
    assert "location" not in made.headers, "its maker does not find it"
    assert again.json() == key | {"key": None}
    assert (await bench.get(f"api-keys/{key['id']}")).status_code == 404
    assert (await bench.get(f"service-accounts/{account}")).status_code == 404
    assert not (await bench.get("service-accounts")).json()["data"]
    async with bench.pool.connection() as connection:
        owners = await connection.fetch(
            "select tenant_id from access.api_key union select tenant_id from access.service_account"
        )
        told = await connection.fetch("select distinct tenant_id from servicekit.outbox")
    assert {row["tenant_id"] for row in [*owners, *told]} == {UUID(tenant)}

    bench.authority.principal = principal_of(
        f"svc:{account}", tenant_id=UUID(tenant), kind=Kind.SERVICE, scopes=mask_of(scopes)
    )
    assert (await bench.get(f"api-keys/{key['id']}")).json()["id"] == key["id"]
    assert (await bench.account(name="second"))["id"] != account
    assert (await bench.post(f"api-keys/{key['id']}/revoke")).status_code == 200


@integration
async def test_a_tenants_rates_are_set_by_who_may_make_tenants_and_read_by_itself(bench: Any) -> None:
    tenant = await new_tenant(bench)
    put = await bench.send("PUT", f"rate-limits?tenant_id={tenant}", LIMITS)

    assert put.json() == {"tenant_id": tenant} | LIMITS == (await bench.get("rate-limits", tenant_id=tenant)).json()
    assert (await bench.get("rate-limits")).json()["limits"] == {}, "its own are others"
    bench.authority.principal = principal_of(tenant_id=UUID(tenant), kind=Kind.SERVICE)
    assert (await bench.get("rate-limits")).json() == {"tenant_id": tenant} | LIMITS


@integration
async def test_ones_own_tenant_may_be_named_or_not(bench: Any) -> None:
    own = str(principal_of().tenant_id)
    first = await bench.post("service-accounts", {"name": "n"}, key="k")
    again = await bench.post("service-accounts", {"name": "n", "tenant_id": own.upper()}, key="k")

    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    reused = await bench.post("service-accounts", {"name": "n", "tenant_id": await new_tenant(bench)}, key="k")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (await bench.get("rate-limits", tenant_id=own)).status_code == 200
    put = await bench.send("PUT", "rate-limits", LIMITS, key="p")
    assert (await bench.send("PUT", f"rate-limits?tenant_id={own}", LIMITS, key="p")).json() == put.json()


@integration
@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.OPERATOR])
async def test_without_the_scope_another_tenant_is_told_from_none_by_nothing(bench: Any, kind: Kind) -> None:
    tenant, account = await with_account(bench)
    nobodys = new_id_text()
    scopes = mask_for(kind) & ~TENANTS_WRITE.mask
    bench.authority.principal = principal_of("svc:other", kind=kind, scopes=scopes)
    before = await bench.rows()
    for (method, path, body), (_, none_path, none_body) in zip(
        asked_for(tenant, account), asked_for(nobodys, new_id_text()), strict=True
    ):
        about, about_none = await bench.send(method, path, body), await bench.send(method, none_path, none_body)
        wanted = (403, "forbidden") if method == "PUT" else (404, "tenant_not_found")
        assert (about.status_code, about.json()["code"]) == wanted, path
        assert {**about.json(), "instance": None} == {**about_none.json(), "instance": None}
    assert await bench.rows() == before


@integration
async def test_who_acts_for_some_owners_acts_for_nobody_of_another_tenant(bench: Any) -> None:
    tenant, account = await with_account(bench)
    bench.authority.principal = principal_of("svc:some", acts_for=frozenset({"ann"}))
    before = await bench.rows()
    body = {"scopes": [], "acts_for": ["ann"], "tenant_id": tenant}
    refused = await bench.post(f"service-accounts/{account}/keys", body)

    assert (refused.status_code, refused.json()["code"], refused.json()["kind"]) == (403, "forbidden", "operator")
    assert await bench.rows() == before


@integration
async def test_nobody_gives_another_tenant_what_it_does_not_hold(bench: Any) -> None:
    tenant, staff = await with_account(bench, "operator")
    path = f"service-accounts/{staff}/keys"
    bench.authority.principal = principal_of("svc:few", scopes=CREDENTIALS | TENANTS_WRITE.mask)
    before = await bench.rows()
    for name in ("wallets:read", "wallets:restrict", "operations:read"):
        refused = await bench.post(path, {"scopes": ["credentials:read", name], "tenant_id": tenant})
        assert (refused.status_code, refused.json()["required_scope"]) == (403, name)
    assert await bench.rows() == before
    given = await bench.post(path, {"scopes": ["credentials:read"], "tenant_id": tenant})
    assert (given.status_code, given.json()["scopes"]) == (201, ["credentials:read"])


@integration
async def test_the_account_of_one_tenant_is_not_found_in_another(bench: Any) -> None:
    _, account = await with_account(bench)
    other = await new_tenant(bench)
    before = await bench.rows()
    for tenant in (str(principal_of().tenant_id), other, new_id_text()):
        refused = await bench.post(f"service-accounts/{account}/keys", {"scopes": [], "tenant_id": tenant})
        assert (refused.status_code, refused.json()["code"]) == (404, "service_account_not_found")
    assert await bench.rows() == before


@integration
async def test_a_tenant_that_there_is_not_is_not_found_and_the_key_stays_free(bench: Any) -> None:
    before = await bench.rows()
    for method, path, body in asked_for(new_id_text(), new_id_text()):
        refused = await bench.send(method, path, body)
        wanted = "service_account_not_found" if path.endswith("/keys") else "tenant_not_found"
        assert (refused.status_code, refused.json()["code"]) == (404, wanted)
    assert await bench.rows() == before


@integration
@pytest.mark.parametrize("text", ["", "x", "0", "a" * 100])
async def test_what_is_no_tenants_id_is_refused(bench: Any, text: str) -> None:
    before = await bench.rows()
    for method, path, body in asked_for(text, new_id_text()):
        refused = await bench.send(method, path, body)
        wanted = "invalid_query" if "?" in path else "invalid_request"
        assert (refused.status_code // 100, refused.json()["code"]) == (4, wanted), refused.text
        assert refused.json()["errors"][0]["pointer"] == "/tenant_id"
    assert await bench.rows() == before
