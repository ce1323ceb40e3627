"""The credentials of a local stack: private files, and tokens that the platform's own verifier takes."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from contracts.access import ClaimMapping, IssuerChanged
from contracts.scopes import Kind, UnknownScope, mask_for, mask_of
from local_stack.credentials import AUDIENCE, ISSUER, TENANT, Credentials
from local_stack.errors import StackError
from servicekit.access.key_sets import parse_key_set
from servicekit.access.tokens import TokenPrincipal, verify_token
from servicekit.clock import utc_now


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    made = Credentials(tmp_path)
    made.prepare()
    return made


def verified(credentials: Credentials, token: str) -> TokenPrincipal:
    issuer = IssuerChanged(
        issuer_id=TENANT,
        name="dev",
        issuer=ISSUER,
        audience=AUDIENCE,
        status="active",
        kinds=list(Kind),
        claims=ClaimMapping(owners_claim="owners", scopes_claim="scope", kind_claim="kind"),
        max_lifetime_s=86_400,
        keys=parse_key_set((credentials.plan.parent / "issuer-public.json").read_bytes()),
        is_development=True,
    )
    found = verify_token(token, issuer, tenant_id=UUID(TENANT), now=utc_now())
    assert isinstance(found, TokenPrincipal), found
    return found


def test_nobody_else_may_read_them(credentials: Credentials) -> None:
    folder = credentials.plan.parent

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_they_are_made_once(credentials: Credentials) -> None:
    token = credentials.token("alice")

    credentials.prepare()

    assert verified(credentials, token).subject == "dev|alice"


def test_a_user_acts_for_itself_and_others_for_all_unless_told(credentials: Credentials) -> None:
    user = verified(credentials, credentials.token("alice"))
    assert (user.kind, user.acts_for, user.scopes) == (Kind.USER, frozenset({"alice"}), mask_for(Kind.USER))
    several = verified(credentials, credentials.token("alice", owners=["a", "b"], scopes="wallets:read"))
    assert (several.acts_for, several.scopes) == (frozenset({"a", "b"}), mask_of(["wallets:read"]))
    service = verified(credentials, credentials.token("backend", kind=Kind.SERVICE))
    assert (service.kind, service.acts_for) == (Kind.SERVICE, None)
    with pytest.raises(UnknownScope):
        credentials.token("alice", scopes="wallets:steal")


def test_keys_are_kept_as_they_were_shown(credentials: Credentials) -> None:
    with pytest.raises(StackError):
        credentials.key(Kind.SERVICE)
    shown = [{"service_account": kind, "key": f"wpk_{kind}"} for kind in ("service", "operator")]

    credentials.keep_keys("\n".join(json.dumps(each) for each in shown))

    assert credentials.key(Kind.OPERATOR) == "wpk_operator"
    with pytest.raises(StackError):
        credentials.key(Kind.USER)


def test_without_a_stack_there_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(StackError):
        Credentials(tmp_path).token("alice")
