"""What an installation begins with: made once, however often the file is run."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from access.bootstrap import make_recorder
from access.provisioning.plan import PlanError, read_plan
from access.provisioning.provision import NewKey, Provisioning
from contracts.access import ApiKeyChanged
from contracts.api_keys import parse_key
from contracts.scopes import Kind, mask_for, names_of
from testkit.access import Whole, principal_of
from testkit.tokens import Signer

TENANT = "01900000-0000-7000-8000-0000000000c1"
PLAN = f"""
[[tenants]]
id = "{TENANT}"
name = "Example"

[[tenants.issuers]]
name = "login"
issuer = "https://login.example.com/"
audience = "wallet-platform"
kinds = ["user", "service"]
claims = {{ kind_claim = "kind", roles_claim = "roles", roles = {{ teller = ["deposits:create"] }} }}
key_set_file = "keys.json"

[[tenants.service_accounts]]
name = "first operator"
kind = "operator"
key = {{ all_scopes = true, lifetime_days = 30, ranges = ["127.0.0.1"] }}

[[tenants.service_accounts]]
name = "without a key"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [Signer().jwk]}))
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def provisioned(bench: Any, file: Path) -> list[NewKey]:
    shown: list[NewKey] = []
    plan = read_plan(file, allow_development=True)
    await Provisioning(bench.pool, make_recorder(Whole()), shown.append).provision(plan)
    return shown


async def counted(bench: Any, file: Path) -> int:
    plan = read_plan(file, allow_development=True)
    return await Provisioning(bench.pool, make_recorder(Whole()), lambda _: None).count(plan)


@pytest.mark.integration
async def test_a_file_is_made_once_and_its_keys_are_shown_once(bench: Any, file: Path) -> None:
    nothing = await bench.rows()
    would_change = await counted(bench, file)
    assert await bench.rows() == nothing
    (key,) = await provisioned(bench, file)
    assert would_change == len(await bench.events())
    before = await bench.rows()
    assert await provisioned(bench, file) == []
    assert await counted(bench, file) == 0
    assert await bench.rows() == before

    parsed = parse_key(key.key)
    assert parsed is not None
    told = [event for event in await bench.events() if isinstance(event, ApiKeyChanged)]
    assert [(event.key_id, event.digest) for event in told] == [(str(parsed.id), parsed.digest.hex())]
    assert told[0].scopes == names_of(mask_for(Kind.OPERATOR))
    assert (key.tenant_id, key.service_account) == (UUID(TENANT), "first operator")
    bench.authority.principal = principal_of(tenant_id=UUID(TENANT))
    assert (await bench.get(f"tenants/{TENANT}")).json()["name"] == "Example"
    (issuer,) = (await bench.get("issuers")).json()["data"]
    assert (issuer["name"], issuer["kinds"], issuer["keys"]) == (
        "login",
        ["service", "user"],
        [{"kid": "key-1", "alg": "ES256"}],
    )


@pytest.mark.integration
async def test_what_the_file_says_otherwise_is_changed_and_what_it_leaves_out_stays(bench: Any, file: Path) -> None:
    await provisioned(bench, file)
    text = PLAN.replace('"Example"', '"Renamed"').replace("wallet-platform", "another")
    write(file, text[: text.index("[[tenants.service_accounts]]")])
    assert await provisioned(bench, file) == []

    bench.authority.principal = principal_of(tenant_id=UUID(TENANT))
    assert (await bench.get(f"tenants/{TENANT}")).json()["name"] == "Renamed"
    assert (await bench.get("issuers")).json()["data"][0]["audience"] == "another"
    assert len((await bench.get("service-accounts")).json()["data"]) == 2


@pytest.mark.integration
async def test_a_revoked_key_does_not_come_back(bench: Any, file: Path) -> None:
    (key,) = await provisioned(bench, file)
    bench.authority.principal = principal_of(tenant_id=UUID(TENANT))
    assert (await bench.post(f"api-keys/{key.key_id}/revoke")).status_code == 200

    assert await provisioned(bench, file) == []


@pytest.mark.integration
async def test_a_run_that_ends_early_is_repeated(bench: Any, file: Path) -> None:
    class Ended(Exception):
        pass

    def end(_made: NewKey) -> None:
        raise Ended

    plan = read_plan(file, allow_development=True)
    with pytest.raises(Ended):
        await Provisioning(bench.pool, make_recorder(Whole()), end).provision(plan)

    assert len(await provisioned(bench, file)) == 1


@pytest.mark.integration
async def test_an_account_does_not_change_its_kind(bench: Any, file: Path) -> None:
    await provisioned(bench, file)
    write(file, PLAN.replace('kind = "operator"', 'kind = "service"'))

    with pytest.raises(PlanError, match="another kind"):
        await provisioned(bench, file)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[[tenants]]", "[[tenants"),
        ('name = "Example"', 'name = "Example"\nowner = "x"'),
        (TENANT, "x"),
        ('"login"', '"fraud"'),
        ('"deposits:create"', '"deposits:destroy"'),
        ("all_scopes = true", 'scopes = ["tenants:everything"]'),
        ('"127.0.0.1"', '"127.0.0.1/8"'),
        ("lifetime_days = 30", "lifetime_days = 401"),
        ('key_set_file = "keys.json"', ""),
        ('kind_claim = "kind", ', ""),
    ],
)
@pytest.mark.integration
async def test_a_file_that_cannot_be_is_refused(bench: Any, file: Path, old: str, new: str) -> None:
    assert old in PLAN
    write(file, PLAN.replace(old, new))

    with pytest.raises(PlanError):
        await provisioned(bench, file)


def test_a_key_set_with_a_private_key_is_refused(file: Path) -> None:
    (file.parent / "keys.json").write_text(json.dumps({"keys": [Signer().private_jwk]}))

    with pytest.raises(PlanError, match="private"):
        read_plan(file, allow_development=True)


def test_a_development_issuer_is_for_development(file: Path) -> None:
    file.write_text(PLAN.replace('key_set_file = "keys.json"', 'key_set_file = "keys.json"\nis_development = true'))

    assert read_plan(file, allow_development=True).tenants[0].issuers[0].is_development
    with pytest.raises(PlanError, match="development"):
        read_plan(file, allow_development=False)
