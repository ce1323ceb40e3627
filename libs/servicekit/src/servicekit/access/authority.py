"""The authority of a service's API: it knows credentials from the service's own database, and asks nobody."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from contracts import problems
from contracts.positions import PositionError, parse_position
from contracts.scopes import Kind
from servicekit.access.admission import (
    Access,
    AccessStale,
    Admission,
    InvalidAccessPosition,
    NotAuthenticated,
    require_access,
)
from servicekit.access.cache import CredentialCache
from servicekit.access.credentials import UNKNOWN, Credential, Refused, verify
from servicekit.access.directory import CHANGES_PER_LOOK_MAX, Directory
from servicekit.access.limiting import CallerLimits
from servicekit.access.metrics import AccessMetrics
from servicekit.access.ranges import is_within
from servicekit.client_address import Client
from servicekit.clock import monotonic_s, unix_s, utc_now
from servicekit.failures import OperationalError
from servicekit.health import Check
from servicekit.limits import Limits
from servicekit.read_model.waiting import PositionWaiter

LOOK_S: Final = 0.1
"""How often changes are looked for: what is revoked is refused this much after it is projected."""
STALE_S: Final = 300.0
HEADER_BYTES_MAX: Final = 9 * 1024
"""Of `Authorization`: a token may have 8 KiB."""
VERIFICATIONS_MAX: Final = 3
"""How often a credential is verified anew because something changed meanwhile, before it is refused for the moment."""

_SCHEME: Final = b"bearer "
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityClocks:
    """The clocks it is run by; tests have their own."""

    unix_s: Callable[[], float] = unix_s
    now: Callable[[], datetime] = utc_now
    monotonic_s: Callable[[], float] = monotonic_s


_CLOCKS: Final = AuthorityClocks()


class CredentialAuthority:
    """Admits who presents a good credential, known by heart once it was verified.

    `watch` must run beside it: it drops what a change has made void.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        metrics: AccessMetrics,
        limits: CallerLimits | None = None,
        stale_s: float = STALE_S,
        cache: CredentialCache | None = None,
        clocks: AuthorityClocks = _CLOCKS,
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._waiter = PositionWaiter(directory.reached)
        self._limits = CallerLimits(Limits()) if limits is None else limits
        self._stale_s = stale_s
        self._cache = CredentialCache() if cache is None else cache
        self._clocks = clocks
        self._seen = 0
        self._parked: frozenset[UUID] = frozenset()
        self._heard_s = clocks.monotonic_s()
        """When, on the monotonic clock, the projection was last known to be at the end of its stream."""

    async def admit(self, headers: Mapping[bytes, bytes], client: Client, access: Access, /) -> Admission:
        """Return who asks; see `Authority`."""
        raw = headers.get(b"authorization")
        if raw is None:
            self._limits.failed(client)
            raise NotAuthenticated("The request has no credential: send Authorization: Bearer with a key or a token.")
        awaited = headers.get(b"min-access-position")
        if awaited is not None:
            await self._await_position(awaited)
        digest = hashlib.sha256(raw).digest()
        credential = self._cache.credential(digest)
        if credential is None:
            credential = await self._learn(raw, digest, client, use_refusals=awaited is None)
        if credential.ends_at <= self._clocks.unix_s():
            self._cache.forget(digest)
            raise _ended(credential)
        if credential.ranges and not is_within(client.address, credential.ranges):
            self._limits.failed(client)
            raise _refusal(problems.ADDRESS_NOT_ALLOWED, "The key may not be used from this address.")
        principal = credential.principal
        if principal.kind is Kind.OPERATOR and self.stale_s > self._stale_s:
            raise AccessStale(f"Nothing was heard of identities for {int(self.stale_s)} s: staff's requests wait.")
        allowance, told = self._limits.admit(credential, client, access.cost)
        require_access(principal, access)
        return Admission(principal, allowance, told)

    @property
    def stale_s(self) -> float:
        """How long nothing was heard of identities, in seconds."""
        return max(0.0, self._clocks.monotonic_s() - self._heard_s)

    def check(self) -> Mapping[str, Check]:
        """Return, for a deep look, how long nothing was heard of identities, and what of them is parked."""
        is_fresh = self.stale_s <= self._stale_s and not self._parked
        detail = f"up to date {self.stale_s:.0f} s ago, {len(self._parked)} parked"
        return {"access": Check(ok=is_fresh, detail=detail)}

    @property
    def parked(self) -> frozenset[UUID]:
        """The entities with an event that cannot be applied: who stands on one is refused."""
        return self._parked

    def forget(self) -> None:
        """Drop all that is known by heart: the database may be another one, with change numbers of its own."""
        self._directory.forget()
        self._cache.clear()
        self._seen = 0

    async def watch(self) -> None:
        """Look for changes until cancelled. A database that is away is waited for."""
        while True:
            try:
                await self.look()
            except OperationalError:
                pass  # what is known grows old, which shows
            except Exception as error:  # noqa: BLE001  a watch that ends would trust what is void
                _log.error("access.look_failed", error=repr(error))
            self._metrics.told(stale_s=self.stale_s, parked=len(self._parked), known=len(self._cache))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Drop what has changed since the last look. Raises OperationalError where the database is away."""
        while True:
            look = await self._directory.look(self._seen)
            if look.head < self._seen:
                _log.error("access.changes_went_back", seen=self._seen, now=look.head)
                self.forget()
                continue
            changed = set(look.changed) | (look.parked ^ self._parked)
            if changed:
                self._directory.forget()
                self._cache.drop(changed)
                self._limits.override(await self._directory.rate_limits())
            self._seen, self._parked = look.seen, look.parked
            if look.stale_s is not None and not look.is_stopped:
                self._heard_s = max(self._heard_s, self._clocks.monotonic_s() - look.stale_s)
            if len(look.changed) < CHANGES_PER_LOOK_MAX:
                return

    async def _learn(self, raw: bytes, digest: bytes, client: Client, *, use_refusals: bool) -> Credential:
        """Verify the credential and keep what it proves. Raises NotAuthenticated, and Limited before any signature."""
        self._limits.may_authenticate(client)
        try:
            return await self._verified(raw, digest, use_refusals=use_refusals)
        except NotAuthenticated:
            self._limits.failed(client)
            raise

    async def _verified(self, raw: bytes, digest: bytes, *, use_refusals: bool) -> Credential:
        refused = self._cache.refusal(digest, self._clocks.monotonic_s()) if use_refusals else None
        if refused is not None:
            raise _refusal(refused.code, refused.detail)
        text = _bearer(raw)
        learnt: Credential | Refused = UNKNOWN
        for _ in range(VERIFICATIONS_MAX):
            generation = self._cache.generation
            learnt = await verify(text, self._directory, self._clocks.now())
            if learnt.stands_on & self._parked:
                learnt = Refused(
                    code=UNKNOWN.code, detail="What the credential stands on is parked.", stands_on=learnt.stands_on
                )
            if generation == self._cache.generation:
                self._cache.keep(digest, learnt, self._clocks.monotonic_s())
                break
        self._metrics.verified(is_good=isinstance(learnt, Credential))
        if isinstance(learnt, Refused):
            raise _refusal(learnt.code, learnt.detail)
        return learnt

    async def _await_position(self, raw: bytes) -> None:
        """Wait until what *raw* names is projected, and look for changes.

        Raises PositionNotReached, Overloaded and InvalidAccessPosition.
        """
        try:
            position = parse_position(raw.decode("ascii"))
        except (PositionError, UnicodeDecodeError) as error:
            raise InvalidAccessPosition from error
        await self._waiter.wait_for(position)
        await self.look()


def _bearer(raw: bytes) -> str:
    """Return the credential of an `Authorization` header. Raises NotAuthenticated unless it is a bearer's."""
    if len(raw) > HEADER_BYTES_MAX or raw[: len(_SCHEME)].lower() != _SCHEME:
        raise _refusal(UNKNOWN.code, "Authorization must be Bearer, a space, and a key or a token.")
    try:
        return raw[len(_SCHEME) :].strip(b" ").decode("ascii")
    except UnicodeDecodeError:
        raise _refusal(UNKNOWN.code, "The credential has characters beyond ASCII.") from None


def _ended(credential: Credential) -> NotAuthenticated:
    is_token = "/" in credential.principal.credential_id
    if is_token:
        return _refusal(problems.TOKEN_EXPIRED, "The token has expired.")
    return _refusal(problems.KEY_REVOKED, "The key has ended.")


def _refusal(code: problems.ProblemCode, detail: str) -> NotAuthenticated:
    return NotAuthenticated(detail, code=code, is_challenged=True)
