"""Requests to access: identities of one tenant, each made for one request."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.access_matrix.callers import OURS, OWNER, Caller, Home
from tests.access_matrix.recipes import Json, Recipe, Recipes, Setup, about_nothing, listed, made, post, whatever
from tests.openapi.access_target import ACCOUNTS, ISSUERS, TENANTS, issuer_body, kept_body

from access import bootstrap
from access.identities.tenants import Tenants
from contracts.ids import new_id_text
from contracts.scopes import CREDENTIALS_WRITE, SCOPES, TENANTS_WRITE, Kind
from servicekit.postgres import connect, transaction
from testkit.access import Whole
from testkit.databases import Database

OF_USERS: Final = frozenset(scope for scope in SCOPES if Kind.USER in scope.kinds)
"""Who registers an issuer of users' tokens hands all of these on."""
RATES: Final[Json] = {"limits": {"user": {"per_s": 100_000, "burst": 200_000}}}
ACCOUNT: Final = "service_account_not_found"


async def make_tenants(database: Database, *homes: Home) -> None:
    """Make the tenants of *homes* there, whose ids are given."""
    connection = await connect(database.dsn_app, application_name="access-matrix")
    try:
        for home in homes:
            async with transaction(connection) as tx:
                await Tenants(bootstrap.make_recorder(Whole())).create(tx, "Shop", home.tenant_id)
    finally:
        await connection.close()


class _Identities:
    """Makes identities of a tenant as its own staff."""

    def __init__(self, setup: Setup) -> None:
        self._http = setup.admin(Home(OURS, OWNER))

    def tenant(self) -> str:
        return made(post(self._http, TENANTS, {"name": "Shop"}))

    def account(self) -> str:
        return made(post(self._http, ACCOUNTS, {"name": "backend"}))

    def subject(self) -> str:
        return f"svc:{self.account()}"

    def key(self) -> str:
        body = {"scopes": [CREDENTIALS_WRITE.name], "acts_for": []}
        return made(post(self._http, f"{ACCOUNTS}/{self.account()}/keys", body))

    def issuer(self) -> str:
        """Return a new issuer whose keys are fetched, in the place of those before it: a tenant may have few."""
        self.make_room()
        return made(post(self._http, ISSUERS, kept_body()))

    def make_room(self) -> None:
        """Delete all issuers."""
        for each in self._http.get(ISSUERS, params={"limit": 200}).json()["data"]:
            assert self._http.delete(f"{ISSUERS}/{each['id']}").is_success


def _new_issuer(_thing: str, _caller: Caller) -> Json:
    return issuer_body()


def _changed_issuer(_thing: str, _caller: Caller) -> Json:
    body = issuer_body()
    del body["name"]
    return body


def _key(_account: str, caller: Caller) -> Json:
    return {"scopes": [CREDENTIALS_WRITE.name], "acts_for": None if caller.owners is None else sorted(caller.owners)}


def _in_our_tenant(recipe: Recipe) -> list[Recipe]:
    """Return *recipe*, which names our tenant, for who may make tenants, who reaches it from its own, and for others.

    These are told that there is no such tenant, whether there is or not.
    """
    across = replace(recipe, needs=frozenset({TENANTS_WRITE}), across=TENANTS_WRITE)
    return [replace(each, missing="tenant_not_found") for each in (across, recipe)]


def _nobody() -> str:
    return f"svc:{new_id_text()}"


def _one(fresh: Callable[[], str], missing: str, body: Json | None = None) -> list[Recipe]:
    return [Recipe(fresh=fresh, body=lambda *_: body, missing=missing)]


def _by_query(thing: str) -> Json:
    return {"tenant_id": thing}


def recipes(setup: Setup, _database: Database) -> Recipes:
    """Return how each operation is asked for."""
    make = _Identities(setup)

    def about_subject() -> list[Recipe]:
        return [Recipe(fresh=make.subject, nothing=_nobody, missing="subject_not_found")]

    def ours() -> str:
        return str(OURS)

    naming = Recipe(fresh=ours, params=_by_query)
    issuing = Recipe(fresh=make.issuer, body=_new_issuer, needs=OF_USERS, needs_every_owner=True)
    name: Json = {"name": "backend"}
    return {
        "list_tenants": [listed(ours)],
        "create_tenant": [Recipe(fresh=whatever, body=lambda *_: {"name": "Shop"})],
        "get_tenant": _one(ours, "tenant_not_found"),
        # Whoever may do this may do it to every tenant but its own.
        "suspend_tenant": [Recipe(fresh=make.tenant)],
        "resume_tenant": [Recipe(fresh=make.tenant)],
        "list_issuers": [listed(make.issuer)],
        "create_issuer": [issuing],
        "get_issuer": _one(make.issuer, "issuer_not_found"),
        "change_issuer": [replace(issuing, body=_changed_issuer, missing="issuer_not_found")],
        "delete_issuer": _one(make.issuer, "issuer_not_found"),
        "refresh_issuer": _one(make.issuer, "issuer_not_found"),
        "list_service_accounts": [listed(make.account)],
        "create_service_account": [
            Recipe(fresh=whatever, body=lambda *_: name),
            *_in_our_tenant(Recipe(fresh=ours, body=lambda tenant, _: {**name, "tenant_id": tenant})),
        ],
        "get_service_account": _one(make.account, ACCOUNT),
        "rename_service_account": _one(make.account, ACCOUNT, {"name": "other"}),
        "delete_service_account": _one(make.account, ACCOUNT),
        "list_api_keys": _one(make.account, ACCOUNT),
        "create_api_key": [
            Recipe(fresh=make.account, body=_key, missing=ACCOUNT),
            *_in_our_tenant(
                Recipe(fresh=make.account, body=lambda account, who: {**_key(account, who), "tenant_id": str(OURS)})
            ),
        ],
        "get_api_key": _one(make.key, "api_key_not_found"),
        "rotate_api_key": _one(make.key, "api_key_not_found", {"overlap_s": 0}),
        "revoke_api_key": _one(make.key, "api_key_not_found"),
        "get_subject": about_subject(),
        "disable_subject": about_subject(),
        "enable_subject": about_subject(),
        "sign_out_subject": about_subject(),
        "get_rate_limits": [about_nothing(), *_in_our_tenant(naming)],
        "put_rate_limits": [
            Recipe(fresh=whatever, body=lambda *_: RATES),
            # The operation's own scope is the one that reaches across.
            replace(naming, body=lambda *_: RATES, missing="tenant_not_found", across=TENANTS_WRITE),
        ],
        "whoami": [about_nothing()],
        "list_scopes": [about_nothing()],
    }
