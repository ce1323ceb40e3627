"""The registry of scopes is a promise: bits are pinned, and what a user must never hold stays so."""

import pytest

from contracts.scopes import SCOPES, Kind, UnknownScope, known_mask_of, mask_for, mask_of, names_of

BITS = {
    "wallets:read": 0,
    "wallets:open": 1,
    "wallets:close": 2,
    "wallets:restrict": 3,
    "deposits:create": 4,
    "withdrawals:create": 5,
    "transfers:create": 6,
    "transactions:read": 7,
    "history:read": 8,
    "webhooks:read": 9,
    "webhooks:write": 10,
    "risk:read": 11,
    "credentials:read": 12,
    "credentials:write": 13,
    "tenants:write": 14,
    "operations:read": 15,
    "holds:write": 16,
    "payments:create": 17,
    "refunds:create": 18,
    "chargebacks:create": 19,
    "forced:create": 20,
    "conversions:create": 21,
    "policy:read": 22,
    "policy:write": 23,
    "limits:write": 24,
    "overdraft:write": 25,
    "wallets:describe": 26,
    "history:export": 27,
    "history:report": 28,
}
NEVER_A_USERS = {
    "wallets:restrict",
    "deposits:create",
    "risk:read",
    "credentials:write",
    "tenants:write",
    "refunds:create",
    "chargebacks:create",
    "forced:create",
    "policy:read",
    "policy:write",
    "limits:write",
    "overdraft:write",
}


def test_bits_stand_in_credentials_for_ever() -> None:
    assert {scope.name: scope.bit for scope in SCOPES} == BITS


def test_what_a_user_must_never_hold() -> None:
    assert not NEVER_A_USERS & set(names_of(mask_for(Kind.USER)))


def test_names_and_bits_are_each_others_inverse() -> None:
    assert names_of(mask_of(BITS)) == list(BITS)
    assert mask_of(names_of(0b1010)) == 0b1010


def test_an_unknown_name_is_refused_or_passed_over() -> None:
    with pytest.raises(UnknownScope):
        mask_of(["wallets:read", "openid"])
    assert known_mask_of(["wallets:read", "openid"]) == mask_of(["wallets:read"])
