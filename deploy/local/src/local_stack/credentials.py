"""The credentials of a local stack: an issuer of its own, and first keys, in files that only their owner may read."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

from contracts import canary as canary_tenant
from contracts.scopes import Kind, mask_for, names_of, scope_named
from local_stack.errors import StackError
from local_stack.state import write_private
from servicekit.clock import utc_now

TENANT: Final = "00000000-0000-7000-8000-000000000001"
ISSUER: Final = "https://issuer.localhost/"
AUDIENCE: Final = "wallet-platform"
LIFETIME_S_MAX: Final = 24 * 3_600
LIFETIME_S: Final = 3_600
_ALGORITHM: Final = "ES256"
_KID: Final = "development"
_KEY_DAYS: Final = 400

_PLAN: Final = """\
# What `make up` makes known, if it is not there yet: see services/access/README.md.
[[tenants]]
id = "{tenant}"
name = "Development"

[[tenants.issuers]]
name = "dev"
issuer = "{issuer}"
audience = "{audience}"
kinds = ["user", "service", "operator"]
max_lifetime_s = {lifetime_s}
is_development = true
key_set_file = "issuer-public.json"
claims = {{ owners_claim = "owners", scopes_claim = "scope", kind_claim = "kind" }}
"""
_ACCOUNT: Final = """
[[tenants.service_accounts]]
name = "{kind}"
kind = "{kind}"
key = {{ all_scopes = true, lifetime_days = {days} }}
"""
_CANARY: Final = """
# Whom the probe is a customer of: see docs/local-stack.md.
[[tenants]]
id = "{tenant}"
name = "Canary"

[[tenants.service_accounts]]
name = "{account}"
kind = "service"
key = {{ all_scopes = true, lifetime_days = {days} }}
"""
_CANARY_ACCOUNT: Final = "canary"
ACCOUNTS: Final = (Kind.SERVICE, Kind.OPERATOR)
"""The kinds that have a key from the start."""


class Credentials:
    """The files in the folder *state*: made once, and kept with the stack's data.

    They are of *tenant*, whose tokens' `iss` is *issuer*.
    """

    def __init__(self, state: Path, *, tenant: str = TENANT, issuer: str = ISSUER) -> None:
        self._folder = state / "secrets"
        self._tenant = tenant
        self._issuer = issuer

    @property
    def plan(self) -> Path:
        """What `access bootstrap` is given."""
        return self._folder / "access.toml"

    def prepare(self) -> None:
        """Make the issuer's key and the plan, unless they are there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        if not self._private.exists():
            key = ECKey.generate_key("P-256", {"kid": _KID, "alg": _ALGORITHM})
            self._keep(self._private, json.dumps(key.as_dict(private=True)))
            self._keep(self._public, json.dumps({"keys": [key.as_dict(private=False)]}))
        accounts = "".join(_ACCOUNT.format(kind=kind.value, days=_KEY_DAYS) for kind in ACCOUNTS)
        plan = _PLAN.format(tenant=self._tenant, issuer=self._issuer, audience=AUDIENCE, lifetime_s=LIFETIME_S_MAX)
        canary = _CANARY.format(tenant=canary_tenant.TENANT_ID, account=_CANARY_ACCOUNT, days=_KEY_DAYS)
        self._keep(self.plan, plan + accounts + canary)

    def keep_keys(self, printed: str) -> None:
        """Keep the keys that `access bootstrap` *printed*, which nobody shows again."""
        for line in printed.splitlines():
            made: Mapping[str, str] = json.loads(line)
            self._keep(self._key_file(made["service_account"]), made["key"])

    def key(self, kind: Kind) -> str:
        """Return the first key of *kind*; raises StackError if there is none."""
        if kind not in ACCOUNTS or not self._key_file(kind.value).exists():
            raise StackError(f"there is no {kind.value} key yet: `make up` makes one for a service and for an operator")
        return self._key_file(kind.value).read_text()

    def token(
        self,
        sub: str,
        *,
        kind: Kind = Kind.USER,
        owners: Sequence[str] | None = None,
        scopes: str = "",
        ttl_s: int = LIFETIME_S,
    ) -> str:
        """Return a token of the development issuer.

        A user acts for *owners*, itself unless they are given; others for every owner unless they are given. Without
        *scopes* (names with spaces) it has every scope of its kind. Raises StackError before the first `make up`, and
        UnknownScope.
        """
        if not self._private.exists():
            raise StackError("there is no issuer yet: `make up` makes it")
        if owners is None and kind is Kind.USER:
            owners = [sub]
        named = [scope_named(name).name for name in scopes.split()] or names_of(mask_for(kind))
        now = utc_now()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": sub,
            "kind": kind.value,
            "scope": " ".join(named),
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=ttl_s)).timestamp()),
            "jti": secrets.token_hex(8),
            **({} if owners is None else {"owners": list(owners)}),
        }
        key = ECKey.import_key(json.loads(self._private.read_text()))
        return jwt.encode({"alg": _ALGORITHM, "kid": _KID}, claims, key, algorithms=[_ALGORITHM])

    @property
    def canary_key(self) -> Path:
        """The file with the key of the canary tenant's service account."""
        return self._key_file(_CANARY_ACCOUNT)

    @property
    def public_key(self) -> bytes:
        """The issuer's key set, as its file has it: what everybody may know. Raises FileNotFoundError without one."""
        return self._public.read_bytes()

    @property
    def _public(self) -> Path:
        return self._folder / "issuer-public.json"

    @property
    def _private(self) -> Path:
        return self._folder / "issuer-private.json"

    def _key_file(self, account: str) -> Path:
        return self._folder / f"{account}.key"

    def _keep(self, path: Path, text: str) -> None:
        write_private(path, text)
