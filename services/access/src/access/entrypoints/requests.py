"""What clients send, and how it becomes what commands take."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from access.domain.issuers import LIFETIME_S_DEFAULT, LIFETIME_S_MAX, LIFETIME_S_MIN, WantedIssuer
from access.domain.keys import OVERLAP_MAX, OWNER_CHARACTERS_MAX, OWNERS_MAX, WantedKey
from access.domain.limits import BURST_MAX, PER_S_MAX, RATES_MAX, Rate, is_limit_name
from access.domain.subjects import is_issuer_name
from contracts.access import ClaimMapping, IssuerKey
from contracts.scopes import SCOPES, Kind, UnknownScope, mask_of, names_of, scope_named
from servicekit.access.key_sets import KeySetRefused, read_key_set
from servicekit.access.ranges import RANGE_CHARACTERS_MAX, RANGES_MAX, RangeRefused, parse_ranges
from servicekit.http.edge.decoding import escape, invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.routes.keyed import Said
from servicekit.http.routes.parsing import instant_of

NAME_CHARACTERS_MAX: Final = 100
ISSUER_CHARACTERS_MAX: Final = 2_000
AUDIENCE_CHARACTERS_MAX: Final = 255
CLAIM_CHARACTERS_MAX: Final = 200
ROLES_MAX: Final = 100
ROLE_CHARACTERS_MAX: Final = 200


def _whole(value: object) -> object:
    """Return a number without a fraction as an integer: JSON does not distinguish them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE: Final = BeforeValidator(_whole)
_SCOPE_ITEMS: Final[dict[str, Any]] = {"items": {"type": "string", "enum": [scope.name for scope in SCOPES]}}
_VISIBLE: Final = r"^[!-~]+$"
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=_PRINTABLE)]
Scopes = Annotated[list[str], Field(max_length=64, description="Names of scopes.", json_schema_extra=_SCOPE_ITEMS)]
Owner = Annotated[str, Field(min_length=1, max_length=OWNER_CHARACTERS_MAX, pattern=_PRINTABLE)]
Range = Annotated[str, Field(min_length=1, max_length=RANGE_CHARACTERS_MAX)]
ClaimName = Annotated[str, Field(min_length=1, max_length=CLAIM_CHARACTERS_MAX, pattern=_PRINTABLE)]


NAMED_TENANT: Final = "Another tenant than the caller's own: for who holds `tenants:write`."
TenantId = Annotated[str | None, Field(max_length=64, description=NAMED_TENANT, json_schema_extra={"format": "uuid"})]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CreateTenant(_Request):
    """A new tenant."""

    name: Name


class CreateServiceAccount(_Request):
    """A new service account: a backend's, or of a member of staff."""

    name: Name
    kind: Annotated[str, Field(pattern="^(service|operator)$", description="`service` or `operator`.")] = "service"
    tenant_id: TenantId = None


class RenameServiceAccount(_Request):
    """What a service account is called."""

    name: Name


class CreateApiKey(_Request):
    """A new key of a service account."""

    scopes: Scopes
    acts_for: Annotated[
        list[Owner] | None,
        Field(max_length=OWNERS_MAX, description="The owners it acts for; null: every owner of the tenant."),
    ] = None
    ranges: Annotated[
        list[Range],
        Field(max_length=RANGES_MAX, description="Addresses or networks it may be used from; empty: from anywhere."),
    ] = Field(default_factory=list)
    expires_at: Annotated[
        str | None,
        Field(
            max_length=64,
            description="RFC 3339 with its offset, at most 400 days ahead; null: 90 days from now.",
            json_schema_extra={"format": "date-time"},
        ),
    ] = None
    tenant_id: TenantId = None


class RotateApiKey(_Request):
    """How long the old key goes on beside the new one."""

    overlap_s: Annotated[
        int, Field(ge=0, le=int(OVERLAP_MAX.total_seconds()), description="Seconds until the old key ends."), _WHOLE
    ]


class Claims(_Request):
    """Where an issuer's tokens say what. A claim is named by its name, or by a path with dots."""

    owners_claim: Annotated[ClaimName | None, Field(description="Owner ids: a text or a list.")] = "sub"
    scopes_claim: Annotated[ClaimName | None, Field(description="Scopes: a text with spaces, or a list.")] = "scope"
    roles_claim: Annotated[ClaimName | None, Field(description="Roles: a text with spaces, or a list.")] = None
    roles: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=ROLE_CHARACTERS_MAX)], Scopes],
        Field(max_length=ROLES_MAX, description="A role to its scopes."),
    ] = Field(default_factory=dict)
    tenant_claim: Annotated[ClaimName | None, Field(description="The tenant's id; null: the issuer's tenant.")] = None
    kind_claim: Annotated[ClaimName | None, Field(description="The kind; needed where there are several.")] = None


class ChangeIssuer(_Request):
    """All of an issuer but its name. Either its key set is given, or the URL it is fetched from."""

    issuer: Annotated[
        str, Field(min_length=1, max_length=ISSUER_CHARACTERS_MAX, pattern=_VISIBLE, description="Its tokens' `iss`.")
    ]
    audience: Annotated[
        str,
        Field(min_length=1, max_length=AUDIENCE_CHARACTERS_MAX, pattern=_VISIBLE, description="In its tokens' `aud`."),
    ]
    kinds: Annotated[
        list[Annotated[str, Field(pattern="^(user|service|operator)$")]],
        Field(min_length=1, max_length=3, description="Which kinds of callers its tokens may be about."),
    ]
    claims: Claims = Field(default_factory=Claims)
    max_lifetime_s: Annotated[
        int,
        Field(ge=LIFETIME_S_MIN, le=LIFETIME_S_MAX, description="The longest from a token's `iat` to its `exp`."),
        _WHOLE,
    ] = LIFETIME_S_DEFAULT
    key_set: Annotated[
        dict[str, Any] | None, Field(description="A JSON Web Key Set of public keys, each with its `kid`.")
    ] = None
    key_set_url: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2_000,
            pattern=_VISIBLE,
            description="Where the key set is fetched: https, a public host, port 443 or 1024 to 65535.",
        ),
    ] = None


class CreateIssuer(ChangeIssuer):
    """A new issuer. *name* begins its subjects, and never changes."""

    name: Annotated[
        str, Field(min_length=1, max_length=31, description="Small letters, digits, hyphens; a letter first.")
    ]


class RateBody(_Request):
    """A rate: *per_s* units a second on the average, *burst* at once."""

    per_s: Annotated[int, Field(ge=1, le=PER_S_MAX), _WHOLE]
    burst: Annotated[int, Field(ge=1, le=BURST_MAX), _WHOLE]


class PutRateLimits(_Request):
    """All rates of a tenant's own; what is not among them has the platform's."""

    limits: Annotated[dict[str, RateBody], Field(max_length=RATES_MAX, description="The limit's name to its rate.")]


def wanted_key_of(body: CreateApiKey) -> WantedKey:
    """Return what *body* says; raise Problem `invalid_request` for unknown scopes, ranges, and what is no instant."""
    try:
        ranges = parse_ranges(body.ranges)
    except RangeRefused as refused:
        error = FieldError(f"/ranges/{refused.index}", refused.refusal.value, refused.detail)
        raise invalid_request(error) from None
    expires_at = None if body.expires_at is None else instant_of(body.expires_at, "expires_at", invalid_request)
    return WantedKey(
        scopes=_scopes_of(body.scopes, "/scopes"),
        acts_for=None if body.acts_for is None else tuple(sorted(set(body.acts_for))),
        ranges=tuple(str(network) for network in ranges),
        expires_at=expires_at,
    )


def wanted_issuer_of(body: ChangeIssuer, *, is_development: bool = False) -> WantedIssuer:
    """Return what *body* says; raise Problem `invalid_request` for unknown scopes and a key set that is none."""
    if (body.key_set is None) == (body.key_set_url is None):
        raise invalid_request(FieldError("", "missing", "Give either key_set or key_set_url."))
    roles = {
        role: list(_scopes_of(names, f"/claims/roles/{escape(role)}")) for role, names in body.claims.roles.items()
    }
    return WantedIssuer(
        issuer=body.issuer,
        audience=body.audience,
        kinds=tuple(Kind(kind) for kind in sorted(set(body.kinds))),
        claims=ClaimMapping(**{**body.claims.model_dump(), "roles": roles}),
        max_lifetime_s=body.max_lifetime_s,
        keys=None if body.key_set is None else _keys_of(body.key_set),
        key_set_url=body.key_set_url,
        is_development=is_development,
    )


def issuer_name_of(body: CreateIssuer) -> str:
    """Return the name; raise Problem `invalid_request` for one that no issuer may have."""
    if not is_issuer_name(body.name):
        detail = "A name begins with a small letter, has small letters, digits and hyphens, and is not reserved."
        raise invalid_request(FieldError("/name", "invalid_name", detail))
    return body.name


def rates_of(body: PutRateLimits) -> Mapping[str, Rate]:
    """Return the rates; raise Problem `invalid_request` for a name that no limit has."""
    errors = [
        FieldError("/limits", "invalid_name", "A limit's name has small letters and underscores.")
        for name in body.limits
        if not is_limit_name(name)
    ]
    if errors:
        raise invalid_request(errors[0])
    return {name: Rate(per_s=rate.per_s, burst=rate.burst) for name, rate in sorted(body.limits.items())}


def said(body: BaseModel) -> Said:
    """Return what tells a command from another under the same key: what is left out is the same as its default."""
    return [body.model_dump()]


def _scopes_of(names: Sequence[str], pointer: str) -> tuple[str, ...]:
    """Return *names*, each once, in the order of their bits."""
    errors = [
        FieldError(f"{pointer}/{index}", "unknown_scope", "There is no such scope.")
        for index, name in enumerate(names)
        if not _is_scope(name)
    ]
    if errors:
        raise invalid_request(*errors)
    return tuple(names_of(mask_of(names)))


def _is_scope(name: str) -> bool:
    try:
        scope_named(name)
    except UnknownScope:
        return False
    return True


def _keys_of(key_set: Mapping[str, Any]) -> tuple[IssuerKey, ...]:
    try:
        return tuple(read_key_set(key_set))
    except KeySetRefused as refused:
        raise invalid_request(FieldError("/key_set", refused.refusal.value, refused.detail)) from None
