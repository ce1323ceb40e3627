"""Access under test: two tenants, an issuer, an account with keys; what requests change is made for them."""

from collections.abc import Mapping
from typing import Any, Final

import httpx2
from tests.openapi.filling import Fill, Json
from tests.openapi.targets import BEHIND_PROXY, UNBOUNDED, Target

from access import bootstrap
from access.config import AccessSettings
from access.domain.limits import BURST_MAX, PER_S_MAX
from contracts.ids import new_id_text
from servicekit.access.admission import Authority
from servicekit.telemetry import Telemetry
from testkit.access import Whole
from testkit.databases import Database
from testkit.tokens import Signer

ACCOUNTS: Final = "/v1/service-accounts"
ISSUERS: Final = "/v1/issuers"
TENANTS: Final = "/v1/tenants"
KEY_SET: Final = {"keys": [Signer().jwk]}


class Identities:
    """Makes identities, each for one request."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self.issuer = self._made(ISSUERS, kept_body())
        self.tenant = self.tenant_id()
        self.account = self.account_id()
        self.key = self.key_id()

    def tenant_id(self) -> str:
        """Return a new tenant's id."""
        return self._made(TENANTS, {"name": "Shop"})

    def account_id(self) -> str:
        """Return a new account's id."""
        return self._made(ACCOUNTS, {"name": "backend"})

    def key_id(self) -> str:
        """Return the id of a new key of a new account."""
        return self._made(f"{ACCOUNTS}/{self.account_id()}/keys", {"scopes": ["wallets:read"]})

    def issuer_id(self) -> str:
        """Return the id of a new issuer, in the place of those before it but the one that is kept."""
        self.make_room()
        return self._made(ISSUERS, issuer_body())

    def make_room(self) -> None:
        """Delete all issuers but the one that is kept: a tenant may have few."""
        for each in self._http.get(ISSUERS, params={"limit": 200}).json()["data"]:
            if each["id"] != self.issuer:
                self._http.delete(f"{ISSUERS}/{each['id']}")

    def _made(self, path: str, body: Json) -> str:
        answer = self._http.post(path, json=body, headers={"Idempotency-Key": new_id_text()})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])


def issuer_body() -> Json:
    """Return an issuer that no other is like."""
    unique = new_id_text().replace("-", "")
    return {
        "name": f"i{unique[-30:]}",
        "issuer": f"https://{unique}.example.com/",
        "audience": "a",
        "kinds": ["user"],
        "key_set": KEY_SET,
    }


def kept_body() -> Json:
    """Return an issuer whose keys are fetched."""
    body = issuer_body() | {"key_set_url": "https://127.0.0.1:9443/keys"}
    del body["key_set"]
    return body


def fills(database: Database, http: httpx2.Client) -> Mapping[str, Fill]:
    """Return what requests about identities are filled with."""
    del database
    identities = Identities(http)

    def create(body: Json) -> None:
        identities.make_room()
        wanted = issuer_body()
        body |= {name: wanted[name] for name in ("name", "issuer", "kinds", "key_set")}
        body.pop("key_set_url", None)

    def change(body: Json) -> None:
        wanted = issuer_body()
        body |= {name: wanted[name] for name in ("issuer", "kinds", "key_set")}
        body.pop("key_set_url", None)

    def of_kind(body: Json) -> None:
        body["scopes"] = ["wallets:read"]
        body["ranges"] = ["10.0.0.0/8"]
        body.pop("expires_at", None)
        body.pop("tenant_id", None)  # the account is of the caller's own tenant

    def of_tenant(body: Json) -> None:
        if body.get("tenant_id") is not None:
            body["tenant_id"] = identities.tenant

    def rates(body: Json) -> None:
        body["limits"] = {name: {"per_s": PER_S_MAX, "burst": BURST_MAX} for name in UNBOUNDED}

    one_tenant = {"tenant_id": lambda: identities.tenant}
    subject = {"subject": lambda: f"svc:{identities.account}"}
    account, key, issuer = f"{ACCOUNTS}/{{service_account_id}}", "/v1/api-keys/{key_id}", f"{ISSUERS}/{{issuer_id}}"
    tenant = f"{TENANTS}/{{tenant_id}}"
    return {
        f"GET {tenant}": Fill(path={"tenant_id": lambda: identities.tenant}),
        **{f"POST {tenant}/{verb}": Fill(path={"tenant_id": identities.tenant_id}) for verb in ("suspend", "resume")},
        f"POST {ISSUERS}": Fill(body=create),
        f"GET {issuer}": Fill(path={"issuer_id": lambda: identities.issuer}),
        f"PUT {issuer}": Fill(path={"issuer_id": identities.issuer_id}, body=change),
        f"DELETE {issuer}": Fill(path={"issuer_id": identities.issuer_id}),
        f"POST {issuer}/refresh": Fill(path={"issuer_id": lambda: identities.issuer}),
        f"POST {ACCOUNTS}": Fill(body=of_tenant),
        f"GET {account}": Fill(path={"service_account_id": lambda: identities.account}),
        f"PUT {account}": Fill(path={"service_account_id": identities.account_id}),
        f"DELETE {account}": Fill(path={"service_account_id": identities.account_id}),
        f"POST {account}/keys": Fill(path={"service_account_id": identities.account_id}, body=of_kind),
        f"GET {account}/keys": Fill(path={"service_account_id": lambda: identities.account}),
        f"GET {key}": Fill(path={"key_id": lambda: identities.key}),
        **{f"POST {key}/{verb}": Fill(path={"key_id": identities.key_id}) for verb in ("rotate", "revoke")},
        "GET /v1/subjects/{subject}": Fill(path=subject),
        **{f"POST /v1/subjects/{{subject}}/{verb}": Fill(path=subject) for verb in ("disable", "enable", "sign-out")},
        "GET /v1/rate-limits": Fill(query=one_tenant),
        "PUT /v1/rate-limits": Fill(body=rates, query=one_tenant),
    }


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    settings = AccessSettings(
        access_database_url=database.dsn_app,
        access_reader_database_url=database.dsn_reader,
        access_allow_loopback=True,
        **BEHIND_PROXY,
    )
    return bootstrap.open_api(settings, telemetry, authority=authority, standing=Whole())


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
