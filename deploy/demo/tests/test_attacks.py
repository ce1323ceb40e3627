import base64
import json

import pytest

from contracts.api_keys import make_key, parse_key
from contracts.ids import new_id
from contracts.scopes import Kind
from demo.attacks import (
    FORGED_HOPS,
    NOTHING_PROVEN,
    READERS,
    AttackTally,
    Victim,
    beyond_a_user,
    code_of,
    from_forged_address,
    misspelt,
    on_others_wallets,
    tampered,
    with_revoked,
    without_proof,
)

ANN, BOB = Victim(wallet="wallet-a", owner="ann"), Victim(wallet="wallet-b", owner="bob")
PROBLEM = "application/problem+json"


def part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


TOKEN = f"{part({'alg': 'ES256', 'kid': 'k'})}.{part({'sub': 'mallory', 'owners': ['mallory']})}.c2lnbmVk"


@pytest.mark.parametrize(
    ("status", "code", "is_refused"),
    [
        (401, "unauthenticated", True),
        (201, None, False),
        (200, None, False),
        (500, "internal_error", False),
        (503, "overloaded", False),
        (429, "rate_limited", False),
        (409, "insufficient_funds", False),
        (404, "wallet_not_found", False),
        (401, "key_revoked", False),
        (401, None, False),
    ],
)
def test_an_attack_is_refused_by_its_own_status_and_code_alone(
    status: int, code: str | None, *, is_refused: bool
) -> None:
    complaint = without_proof("nobody", None, ANN).complaint(status, code)

    assert (complaint is None) is is_refused
    if complaint is not None:
        assert f"answered {status}" in complaint


def test_one_attack_that_is_not_refused_breaks_the_tally() -> None:
    tally = AttackTally()
    assert not tally.holds  # nothing was tried

    tally.count(None)
    assert (tally.holds, tally.sentence) == (True, "attacks: 1 refused of 1")

    for _ in range(20):
        tally.count("taken")
    assert (tally.holds, tally.sentence) == (False, "attacks: 1 refused of 21")
    assert len(tally.breaches) == 10


def test_no_complaint_tells_a_credential() -> None:
    attack = without_proof("a thief", "Bearer secret", ANN)

    assert "secret" not in repr(attack)
    assert "secret" not in str(attack.complaint(201, None))


def test_the_code_of_a_batch_is_that_of_its_command() -> None:
    batch = {"code": "batch_refused", "index": 0, "problem": {"code": "wallet_not_found"}}

    assert code_of(PROBLEM, json.dumps(batch).encode()) == "wallet_not_found"
    assert code_of(PROBLEM, b'{"code":"forbidden"}') == "forbidden"
    assert code_of("application/json", b'{"code":"forbidden"}') is None
    assert code_of("", b"") is None


def test_others_find_no_wallet_and_users_may_not_do_what_is_the_tenants() -> None:
    user = {attack.path: attack for attack in on_others_wallets("m", "t", Kind.USER, (ANN, BOB))}
    backend = {attack.path: attack for attack in on_others_wallets("m", "t", Kind.SERVICE, (ANN, BOB))}

    assert user.keys() == backend.keys()
    assert {path for path, attack in user.items() if attack.status == 403} == {
        "/v1/deposits",
        "/v1/wallets/wallet-a/freeze",
        "/v1/wallets/wallet-a/unfreeze",
        "/v1/risk/wallets/wallet-a",
    }
    assert {code for attack in backend.values() for code in attack.codes} == {"wallet_not_found"}
    assert all(attack.body is None for attack in user.values() if attack.method == "GET")
    assert user["/v1/transfers"].body == {
        "source_wallet_id": "wallet-a",
        "destination_wallet_id": "wallet-b",
        "amount": {"amount": "1", "currency": "JPY"},
    }
    assert all(attack.codes == {"forbidden"} for attack in beyond_a_user("m", "t", ANN))


def test_a_revoked_key_is_tried_at_every_service_once_that_has_heard_of_it() -> None:
    tried = list(with_revoked("key", "0-7"))

    assert [attack.service for attack in tried] == list(READERS)
    assert [attack.service for attack in tried if "min-access-position" not in attack.headers] == ["access"]


def test_a_forged_address_is_said_by_the_peer_itself() -> None:
    tried = list(from_forged_address("key", "0-7"))

    assert [attack.headers["x-forwarded-for"] for attack in tried] == list(FORGED_HOPS)
    assert tried[0].complaint(401, "address_not_allowed") is None
    assert tried[0].complaint(200, None) is not None


def test_a_tampered_token_is_anothers_and_never_the_signed_one() -> None:
    forged = tampered(TOKEN, "ann", b"public")

    assert TOKEN not in forged.values()
    assert len(set(forged.values())) == len(forged)
    for what in ("another owner in a signed token", "a token of the algorithm none"):
        _, claims, _ = forged[what].split(".")
        assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {"sub": "ann", "owners": ["ann"]}


def test_a_misspelt_key_is_none() -> None:
    for byte in range(8):
        key = make_key(new_id(), bytes([byte]) * 32)

        assert parse_key(key) is not None
        assert parse_key(misspelt(key)) is None


def test_what_proves_nothing_is_told_nothing() -> None:
    assert frozenset({"unauthenticated"}) == NOTHING_PROVEN
