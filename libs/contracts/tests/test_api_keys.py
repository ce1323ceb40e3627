"""API keys: pinned forever, and no key is read out of what is not exactly one."""

import hashlib
import string
import zlib
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.api_keys import KEY_CHARACTERS, ApiKey, _base62, digest_of, make_key, parse_key

ID = UUID("0191d2a0-7c00-7abc-8def-0123456789ab")
SECRET = bytes(range(32))
VECTORS = [
    (
        ID,
        SECRET,
        "wpk_0191d2a07c007abc8def0123456789ab_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf_2REei5",
        "abe4d21687409e8a358d7f8f949bd6f1b984a3608f62800684e890be44d52782",
    ),
    (
        UUID("01900000-0000-7000-8000-000000000000"),
        bytes(32),
        "wpk_01900000000070008000000000000000_0000000000000000000000000000000000000000000_39nX38",
        "7f30a46939b2a87760975c1229ff72e80be87ee01ede44e2329b3d8879785cef",
    ),
    (
        UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"),
        b"\xff" * 32,
        "wpk_ffffffffffff7fffbfffffffffffffff_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_1MhCee",
        "0e7d2e1b4830558aa396bbe7d0abfadc070824875dc3b75b6a83b567673d84a7",
    ),
]


def uuids_v7() -> st.SearchStrategy[UUID]:
    return st.integers(0, 2**128 - 1).map(
        lambda value: UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | (7 << 76) | (2 << 62))
    )


@pytest.mark.parametrize(("key_id", "secret", "text", "digest"), VECTORS)
def test_the_vectors_are_pinned(key_id: UUID, secret: bytes, text: str, digest: str) -> None:
    assert make_key(key_id, secret) == text
    assert parse_key(text) == ApiKey(key_id, bytes.fromhex(digest))


@given(uuids_v7(), st.binary(min_size=32, max_size=32))
def test_what_is_made_is_read(key_id: UUID, secret: bytes) -> None:
    text = make_key(key_id, secret)

    assert len(text) == KEY_CHARACTERS
    assert parse_key(text) == ApiKey(key_id, hashlib.sha256(key_id.bytes + secret).digest())


def test_every_change_of_one_character_is_refused() -> None:
    text = make_key(ID, SECRET)
    changed = [
        text[:at] + other + text[at + 1 :]
        for at in range(len(text))
        for other in string.ascii_letters + string.digits + "_-\n \u0660"
        if other != text[at]
    ]

    assert [each for each in changed if parse_key(each) is not None] == []


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize("change", [lambda t: t + "\n", lambda t: " " + t, lambda t: t[:-1], lambda t: t * 100_000])
def test_other_lengths_are_refused(change: Callable[[str], str]) -> None:
    assert parse_key(change(make_key(ID, SECRET))) is None


def test_a_secret_of_more_than_256_bits_and_an_id_of_another_version_are_refused() -> None:
    for body in (f"wpk_{ID.hex}_{'z' * 43}", f"wpk_{UUID(int=0).hex}_{'0' * 43}"):
        assert parse_key(f"{body}_{_base62(zlib.crc32(body.encode()), 6)}") is None


def test_a_digest_is_of_id_and_secret() -> None:
    assert digest_of(ID, SECRET) != digest_of(UUID("0191d2a0-7c00-7abc-8def-0123456789ac"), SECRET)
