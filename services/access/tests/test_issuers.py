"""Issuers on a real database: whose tokens are believed, and by whose word."""

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from contracts.access import IssuerChanged
from contracts.scopes import CREDENTIALS_WRITE, TENANTS_WRITE, Kind, mask_for
from testkit.access import principal_of
from testkit.tokens import AUDIENCE, ISSUER, Signer

pytestmark = pytest.mark.integration

ANOTHER = UUID("01900000-0000-7000-8000-00000000beef")
EC, RSA = Signer("ES256").jwk, Signer("RS256", "r").jwk
WANTED: dict[str, Any] = {
    "name": "login",
    "issuer": ISSUER,
    "audience": AUDIENCE,
    "kinds": ["user"],
    "key_set": {"keys": [RSA, EC]},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (WANTED | changes).items() if value is not None}


async def registered(bench: Any, **changes: Any) -> dict[str, Any]:
    answer: httpx2.Response = await bench.post("issuers", changed(**changes))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_issuer_is_told_with_its_public_keys(bench: Any) -> None:
    claims = {"owners_claim": "owners", "roles_claim": "realm_access.roles", "roles": {"teller": ["deposits:create"]}}
    made = await registered(bench, claims=claims, max_lifetime_s=600)

    assert made["keys"] == [{"kid": "key-1", "alg": "ES256"}, {"kid": "r", "alg": "RS256"}]
    assert made["claims"] == {
        "owners_claim": "owners",
        "scopes_claim": "scope",
        "roles_claim": "realm_access.roles",
        "roles": {"teller": ["deposits:create"]},
        "tenant_claim": None,
        "kind_claim": None,
    }
    (event,) = await bench.events()
    assert isinstance(event, IssuerChanged)
    assert (event.issuer_id, event.name, event.status, event.max_lifetime_s) == (made["id"], "login", "active", 600)
    assert [key.jwk for key in event.keys] == [
        {name: EC[name] for name in ("kty", "crv", "x", "y")},
        {name: RSA[name] for name in ("kty", "n", "e")},
    ]
    assert (await bench.get(f"issuers/{made['id']}")).json() == made | {"fetching": None}
    assert (await bench.get("issuers")).json()["data"] == [made]


async def test_a_change_replaces_all_but_the_name_and_is_keyed(bench: Any) -> None:
    made = await registered(bench)
    body = changed(name=None, kinds=["service"], key_set={"keys": [EC]})
    first = await bench.send("PUT", f"issuers/{made['id']}", body, key="k")
    again = await bench.send("PUT", f"issuers/{made['id']}", body, key="k")

    assert (first.status_code, first.json()["kinds"], len(first.json()["keys"])) == (200, ["service"], 1)
    assert again.json() == first.json()
    assert again.headers["access-position"] == first.headers["access-position"]
    *_, event = await bench.events()
    assert [key.kid for key in event.keys] == ["key-1"]


async def test_a_deleted_issuer_has_no_keys_and_its_name_stays_taken(bench: Any) -> None:
    made = await registered(bench)
    assert (await bench.http.delete(f"/v1/issuers/{made['id']}")).status_code == 204

    *_, event = await bench.events()
    assert (event.status, event.keys) == ("deleted", [])
    assert (await bench.get(f"issuers/{made['id']}")).status_code == 404
    again = await bench.post("issuers", changed())
    assert (again.status_code, again.json()["code"]) == (409, "issuer_exists")
    await registered(bench, name="login-2")


async def test_tokens_have_one_issuer_over_all_tenants(bench: Any) -> None:
    await registered(bench)
    other = await registered(bench, name="other", audience="other")
    bench.authority.principal = principal_of(tenant_id=ANOTHER)
    refused = await bench.post("issuers", changed(name="mine"))
    assert (refused.status_code, refused.json()["code"]) == (409, "issuer_exists")
    mine = await registered(bench, name="login", audience="mine")
    before = await bench.rows()

    taken = await bench.send("PUT", f"issuers/{mine['id']}", changed(name=None), key="k")
    assert (taken.status_code, taken.json()["code"]) == (409, "issuer_exists")
    assert before[:7] == (await bench.rows())[:7]
    assert (await bench.send("PUT", f"issuers/{other['id']}", changed(name=None))).status_code == 404


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no keys": ({"key_set": {"keys": []}}, "/key_set", "key_set_no_keys"),
    "a private key": ({"key_set": {"keys": [Signer("ES256").private_jwk]}}, "/key_set", "key_set_private_key"),
    "a symmetric key": ({"key_set": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "/key_set", "key_set_private_key"),
    "alg missing": (
        {"key_set": {"keys": [{name: value for name, value in RSA.items() if name != "alg"}]}},
        "/key_set",
        "key_set_no_algorithm",
    ),
    "one kid twice": ({"key_set": {"keys": [EC, EC]}}, "/key_set", "key_set_doubled_kid"),
    "no key set": ({"key_set": {}}, "/key_set", "key_set_malformed"),
    "neither keys nor URL": ({"key_set": None}, "", "missing"),
    "both": ({"key_set_url": "https://example.com/keys"}, "", "missing"),
    "a name of the platform": ({"name": "fraud"}, "/name", "invalid_name"),
    "the name of accounts": ({"name": "svc"}, "/name", "invalid_name"),
    "a name in capitals": ({"name": "Login"}, "/name", "invalid_name"),
    "a name with a bar": ({"name": "a|b"}, "/name", "invalid_name"),
    "a name with a line break": ({"name": "login\n"}, "/name", "invalid_name"),
    "a name too long": ({"name": "a" * 32}, "/name", "too_long"),
    "no kinds": ({"kinds": []}, "/kinds", "too_few"),
    "a kind that is none": ({"kinds": ["admin"]}, "/kinds/0", "invalid_value"),
    "several kinds without a claim": ({"kinds": ["user", "service"]}, "/claims/kind_claim", "missing"),
    "an unknown scope of a role": (
        {"claims": {"roles_claim": "roles", "roles": {"r": ["wallets:everything"]}}},
        "/claims/roles/r/0",
        "unknown_scope",
    ),
    "a lifetime of a week": ({"max_lifetime_s": 604_800}, "/max_lifetime_s", "invalid_value"),
    "an issuer with a space": ({"issuer": "https://a b/"}, "/issuer", "invalid_value"),
    "a development issuer": ({"is_development": True}, "/is_development", "unknown_field"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_issuer_that_cannot_be_changes_nothing_and_leaves_the_key_free(bench: Any, name: str) -> None:
    wanted, pointer, code = BAD[name]
    before = await bench.rows()
    refused = await bench.post("issuers", changed() | dict(wanted.items()), key="k")

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert [each["pointer"] for each in refused.json()["errors"]] == [pointer], refused.text
    assert [each["code"] for each in refused.json()["errors"]] == [code], refused.text
    assert await bench.rows() == before
    assert (await bench.post("issuers", changed(), key="k")).status_code == 201


async def test_a_set_of_a_megabyte_is_too_large(bench: Any) -> None:
    refused = await bench.post("issuers", changed(key_set={"keys": [EC], "more": "x" * 1_000_000}))

    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")


async def test_who_registers_an_issuer_gives_all_that_its_tokens_could(bench: Any) -> None:
    issuers = await registered(bench, kinds=["user"])
    staff = mask_for(Kind.OPERATOR)
    cases: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
        ({"scopes": CREDENTIALS_WRITE.mask}, {}, "wallets:read"),
        ({"kind": Kind.SERVICE}, {"kinds": ["operator"]}, None),
        ({"scopes": staff & ~TENANTS_WRITE.mask}, {"kinds": ["operator"]}, "tenants:write"),
        ({"scopes": staff & ~TENANTS_WRITE.mask}, {"claims": {"tenant_claim": "tenant"}}, "tenants:write"),
        ({"acts_for": frozenset({"a"})}, {}, None),
    ]
    for powers, wanted, scope in cases:
        bench.authority.principal = principal_of(**powers)
        before = await bench.rows()
        new = await bench.post("issuers", changed(name="new", audience="new", **wanted))
        replaced = await bench.send("PUT", f"issuers/{issuers['id']}", changed(name=None, **wanted))
        for answer in (new, replaced):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), powers
            assert answer.json().get("required_scope") == scope, json.dumps(answer.json())
        assert await bench.rows() == before


async def test_given_keys_are_not_fetched(bench: Any) -> None:
    made = await registered(bench)
    refused = await bench.post(f"issuers/{made['id']}/refresh")

    assert (refused.status_code, refused.json()["code"]) == (409, "no_key_set_url")


async def test_a_tenant_has_twenty_issuers(bench: Any) -> None:
    for number in range(20):
        await registered(bench, name=f"login-{number}", audience=f"a-{number}")
    refused = await bench.post("issuers", changed())

    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (409, "issuer_limit_reached", 20)
