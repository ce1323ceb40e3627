"""The tags that a caller has."""

import pytest

from servicekit.http.routes.dependencies import known_tags


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("", set()),
        ('"a"', {'"a"'}),
        ('W/"a", "b" ,"c,d"', {'"a"', '"b"', '"c,d"'}),
        ('""', {'""'}),
        ("*", set()),
        ("a, b", set()),
        ('"a b"', set()),
    ],
)
def test_tags_are_read_with_their_quotes(given: str, known: set[str]) -> None:
    assert known_tags(given) == known
