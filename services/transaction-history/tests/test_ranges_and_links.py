"""Ranges of files, tokens of links, and what follows a failed attempt."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transaction_history.domain.jobs import ATTEMPTS_MAX, Again, GivenUp, Reason, after_failure
from transaction_history.domain.links import LinkName, link_token, named_by
from transaction_history.domain.ranges import BeyondEnd, ByteRange, range_of

KEY, OTHER_KEY = b"a" * 32, b"b" * 32


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, None),
        ("bytes=0-3", (0, 4)),
        ("bytes=3-", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=9-99", (9, 10)),
        ("BYTES=0-0", (0, 1)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=٣-", None),
    ],
)
def test_a_range_is_one_of_bytes_or_the_whole(asked: str | None, part: tuple[int, int] | None) -> None:
    assert range_of(asked, 10) == part


@pytest.mark.parametrize(
    ("asked", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_none(asked: str, size: int) -> None:
    with pytest.raises(BeyondEnd):
        range_of(asked, size)


@given(st.integers(1, 100), st.integers(0, 120), st.integers(0, 120))
def test_a_range_lies_within_the_file(size: int, first: int, last: int) -> None:
    try:
        part = range_of(f"bytes={first}-{last}", size)
    except BeyondEnd:
        assert first >= size
        return
    if part is None:
        assert last < first
    else:
        assert part == ByteRange(first, min(last + 1, size))


@given(st.uuids(), st.uuids())
def test_a_token_names_its_link_under_its_key_alone(tenant_id: UUID, link_id: UUID) -> None:
    name = LinkName(tenant_id, link_id)
    token = link_token(KEY, name)

    assert named_by(KEY, token) == name
    assert named_by(OTHER_KEY, token) is None


@given(st.uuids(), st.uuids(), st.integers(0, 85), st.characters(codec="utf-8"))
def test_no_other_text_is_the_token(tenant_id: UUID, link_id: UUID, at: int, character: str) -> None:
    token = link_token(KEY, LinkName(tenant_id, link_id))
    changed = token[:at] + character + token[at + 1 :]

    assert changed == token or named_by(KEY, changed) is None


@given(st.text(max_size=90))
def test_whatever_is_no_token_names_nothing(text: str) -> None:
    assert named_by(KEY, text) is None


def test_attempts_wait_longer_each_time_and_end() -> None:
    steps = [after_failure(Reason.OBJECTS, attempts) for attempts in range(1, ATTEMPTS_MAX + 1)]

    delays = [step.delay for step in steps if isinstance(step, Again)]
    assert delays == sorted(set(delays))
    assert steps[-1] == GivenUp(Reason.OBJECTS)
    assert after_failure(Reason.TOO_MANY_ROWS, 1) == GivenUp(Reason.TOO_MANY_ROWS)
