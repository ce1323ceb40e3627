"""Members given twice are found in any JSON, and nothing else is taken for one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.http.edge.decoding import check_json
from servicekit.http.problems import Problem

NAMES = st.text(alphabet='ab"\\:,{}é\n', max_size=3)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NAMES
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=3))


def written(tree: Any, *, is_ascii: bool) -> tuple[str, bool]:
    """Return *tree* as JSON, pairs as the members of an object, and whether an object has a name twice."""
    if isinstance(tree, list) and tree and all(isinstance(each, tuple) for each in tree):
        names = [name for name, _ in tree]
        parts = [(json.dumps(name, ensure_ascii=is_ascii), *written(value, is_ascii=is_ascii)) for name, value in tree]
        text = ", ".join(f"{name} :{value}" for name, value, _ in parts)
        return f"{{{text}}}", len(set(names)) < len(names) or any(doubled for *_, doubled in parts)
    if isinstance(tree, list):
        items = [written(each, is_ascii=is_ascii) for each in tree]
        return f"[{', '.join(text for text, _ in items)}]", any(doubled for _, doubled in items)
    return json.dumps(tree, ensure_ascii=is_ascii), False


@given(TREES, st.booleans())
def test_what_is_doubled_is_refused_and_nothing_else(tree: Any, is_ascii: bool) -> None:  # noqa: FBT001  a case
    text, doubled = written(tree, is_ascii=is_ascii)

    if doubled:
        with pytest.raises(Problem, match="twice"):
            check_json(text.encode())
    else:
        assert check_json(text.encode()) == json.loads(text)
