"""What attackers ask for and how each request must be refused; no attack changes anything where it is. Pure."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from contracts.scopes import Kind

Service = Literal["wallet", "history", "fraud", "notifications", "access"]

BREACHES_MAX: Final = 10
"""How many attacks that were not refused are told in words."""
READERS: Final[Mapping[Service, str]] = {
    "wallet": "/v1/wallets?limit=1",
    "history": "/v1/history/owners/nobody/entries?limit=1",
    "fraud": "/v1/risk/rules",
    "notifications": "/v1/webhook-endpoints?limit=1",
    "access": "/v1/whoami",
}
"""A path of each service that reads and that a backend may ask for."""
ELSEWHERE: Final = "203.0.113.0/24"
"""A network for documentation: nobody is in it."""
FORGED_HOPS: Final = ("203.0.113.7", "127.0.0.1, 203.0.113.7", "203.0.113.7, 127.0.0.1")
NOTHING_PROVEN: Final = frozenset({"unauthenticated"})
EXPIRED: Final = frozenset({"unauthenticated", "token_expired"})
REVOKED: Final = frozenset({"key_revoked"})
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_MISSING: Final = 404
_AMOUNT: Final = {"amount": {"amount": "1", "currency": "JPY"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A wallet that attackers know, with its owner."""

    wallet: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A request, and how it must be refused: with *status* and one of *codes*.

    *authorization* is the header's value, None for none; *body* is JSON, None for a read.
    """

    who: str
    service: Service
    method: str
    path: str
    authorization: str | None = field(repr=False)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int
    codes: frozenset[str]

    @property
    def name(self) -> str:
        """What the attack is called when it was not refused."""
        return f"{self.who}: {self.method} {self.path} of {self.service}"

    def complaint(self, status: int, code: str | None) -> str | None:
        """Return what is wrong with an answer of *status* and *code* (None of a success); None if it is refused."""
        if status == self.status and code in self.codes:
            return None
        return f"{self.name}: answered {status} {code or ''}, not {self.status} {' or '.join(sorted(self.codes))}"


@dataclass(slots=True)
class AttackTally:
    """How many attacks were sent and refused as they must be, and the first that were not, in words."""

    sent: int = 0
    refused: int = 0
    breaches: list[str] = field(default_factory=list)

    def count(self, complaint: str | None) -> None:
        """Count an attack; *complaint* says how it was not refused."""
        self.sent += 1
        if complaint is None:
            self.refused += 1
        elif len(self.breaches) < BREACHES_MAX:
            self.breaches.append(complaint)

    @property
    def holds(self) -> bool:
        """Whether there were attacks, and every one was refused."""
        return 0 < self.sent == self.refused

    @property
    def sentence(self) -> str:
        """The line of the report."""
        return f"attacks: {self.refused:,} refused of {self.sent:,}"


def code_of(content_type: str, body: bytes) -> str | None:
    """Return the code of a problem document, of a refused batch that of the command in its way; None if it is none."""
    if not content_type.startswith("application/problem+json"):
        return None
    problem: dict[str, Any] = json.loads(body)
    inner: dict[str, Any] = problem.get("problem") or problem
    return inner.get("code")


def on_others_wallets(who: str, credential: str, kind: Kind, victims: tuple[Victim, Victim]) -> Iterator[Attack]:
    """Give a caller's attacks on the wallets of *victims*, for none of whom it acts.

    A user may not take money in, restrict, nor read what is not users' to read, whoever's it is; a backend of another
    tenant may, and does not find the wallets.
    """
    victim, other = victims
    wallet = victim.wallet

    def attack(
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        service: Service = "wallet",
        users: bool = True,
    ) -> Attack:
        is_missing = users or kind is not Kind.USER
        status, code = (_MISSING, "wallet_not_found") if is_missing else (_FORBIDDEN, "forbidden")
        return Attack(
            who=who,
            service=service,
            method=method,
            path=path,
            authorization=f"Bearer {credential}",
            body=body,
            status=status,
            codes=frozenset({code}),
        )

    yield attack("GET", f"/v1/wallets/{wallet}")
    yield attack("GET", f"/v1/history/wallets/{wallet}/entries", service="history")
    yield attack("GET", f"/v1/risk/wallets/{wallet}", service="fraud", users=False)
    yield attack("POST", "/v1/withdrawals", {"wallet_id": wallet, **_AMOUNT})
    yield attack(
        "POST", "/v1/transfers", {"source_wallet_id": wallet, "destination_wallet_id": other.wallet, **_AMOUNT}
    )
    yield attack("POST", f"/v1/wallets/{wallet}/close", {})
    yield attack(
        "POST",
        "/v1/batches",
        {"mode": "atomic", "commands": [{"type": "withdrawal", "wallet_id": wallet, **_AMOUNT}]},
    )
    yield attack("POST", "/v1/deposits", {"wallet_id": wallet, **_AMOUNT}, users=False)
    yield attack("POST", f"/v1/wallets/{wallet}/freeze", {"reason": "risk", "scope": "all"}, users=False)
    yield attack("POST", f"/v1/wallets/{wallet}/unfreeze", {}, users=False)


def beyond_a_user(who: str, token: str, victim: Victim) -> Iterator[Attack]:
    """Give what no user may do, whoever it acts for; the token is that of an owner who is not *victim*."""
    asked: tuple[tuple[Service, str, str, Mapping[str, Any] | None], ...] = (
        ("wallet", "POST", "/v1/wallets", {"owner_id": victim.owner, "currency": "USD"}),
        ("notifications", "GET", READERS["notifications"], None),
        ("fraud", "GET", READERS["fraud"], None),
        ("access", "GET", "/v1/service-accounts", None),
        ("access", "POST", "/v1/service-accounts", {"name": "back door"}),
    )
    for service, method, path, body in asked:
        yield Attack(
            who=who,
            service=service,
            method=method,
            path=path,
            authorization=f"Bearer {token}",
            body=body,
            status=_FORBIDDEN,
            codes=frozenset({"forbidden"}),
        )


def without_proof(
    who: str, authorization: str | None, victim: Victim, codes: frozenset[str] = NOTHING_PROVEN
) -> Attack:
    """Return an attempt to take the victim's money with a credential that proves nothing, or none."""
    return Attack(
        who=who,
        service="wallet",
        method="POST",
        path="/v1/withdrawals",
        authorization=authorization,
        body={"wallet_id": victim.wallet, **_AMOUNT},
        status=_UNAUTHENTICATED,
        codes=codes,
    )


def with_revoked(key: str, position: str) -> Iterator[Attack]:
    """Give a use of the revoked *key* at each service, once it has heard of what stands at *position*."""
    for service, path in READERS.items():
        headers = {} if service == "access" else {"min-access-position": position}
        yield Attack(
            who="a revoked key",
            service=service,
            method="GET",
            path=path,
            authorization=f"Bearer {key}",
            headers=headers,
            status=_UNAUTHENTICATED,
            codes=REVOKED,
        )


def from_forged_address(key: str, position: str) -> Iterator[Attack]:
    """Give uses of a *key* that is good within ELSEWHERE alone, by a peer that says it is there."""
    for hops in FORGED_HOPS:
        yield Attack(
            who=f"a forged address ({hops})",
            service="wallet",
            method="GET",
            path=READERS["wallet"],
            authorization=f"Bearer {key}",
            headers={"x-forwarded-for": hops, "min-access-position": position},
            status=_UNAUTHENTICATED,
            codes=frozenset({"address_not_allowed"}),
        )


def tampered(token: str, owner: str, public_key: bytes) -> dict[str, str]:
    """Return *token*, turned by who cannot sign into tokens of *owner*, by what was done to it."""
    head, claims, signature = token.split(".")
    others = _encoded({**_decoded(claims), "sub": owner, "owners": [owner]})
    unsigned = _encoded({**_decoded(head), "alg": "none"})
    symmetric = _encoded({**_decoded(head), "alg": "HS256"})
    digest = hmac.digest(public_key, f"{symmetric}.{others}".encode("ascii"), hashlib.sha256)
    return {
        "another owner in a signed token": f"{head}.{others}.{signature}",
        "a token without its signature": f"{head}.{others}.",
        "a token of the algorithm none": f"{unsigned}.{others}.",
        "a token signed with the public key": f"{symmetric}.{others}.{_base64(digest)}",
        "a token cut short": token[: len(token) // 2],
    }


def misspelt(key: str) -> str:
    """Return *key* with another last character: its checksum is wrong."""
    return f"{key[:-1]}{'0' if key[-1] != '0' else '1'}"


def _decoded(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content


def _encoded(content: Mapping[str, Any]) -> str:
    return _base64(json.dumps(content).encode("utf-8"))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
