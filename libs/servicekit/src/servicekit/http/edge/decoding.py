"""JSON bodies: strict parsing, and what msgspec or pydantic refuse told as field errors with JSON pointers."""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from contracts import problems
from servicekit.http.problems import FieldError, Problem

T = TypeVar("T")

DEPTH_MAX: Final = 32
EMPTY_BODY: Final = "The body is empty: send one JSON document."
_ESCAPED_NUL: Final = b"\\u0000"
_GZIP: Final = b"\x1f\x8b"


_STRICT: Final = msgspec.json.Decoder()
_encode: Final = msgspec.json.Encoder().encode
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TO_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def check_json(body: bytes) -> Any:
    """Return *body* parsed; raise Problem `malformed_json` unless it is JSON in UTF-8 within the allowed depth.

    NaN, a byte-order mark, lone surrogates, numbers beyond a double and two members of one name are malformed.
    """
    _refuse_other_forms(body)
    try:
        tree = _STRICT.decode(body)
    except UnicodeDecodeError:
        raise Problem(problems.MALFORMED_JSON, "The body is not valid UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.MsgspecError:
        raise Problem(problems.MALFORMED_JSON, "The body is not JSON, or holds a number out of range.") from None
    if _is_deeper(body, DEPTH_MAX):
        raise _too_deep()
    refuse_doubled(body)
    return tree


def _refuse_other_forms(body: bytes) -> None:
    """Raise Problem `malformed_json` where *body* is something else that is often sent in place of JSON in UTF-8."""
    detail = None
    if not body.strip():
        detail = EMPTY_BODY
    elif body.startswith(codecs.BOM_UTF8):
        detail = "The body begins with a byte-order mark: send UTF-8 without one."
    elif body.startswith(_GZIP):
        detail = "The body is compressed with gzip: send it as it is."
    elif body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        detail = "The body is in UTF-16 or UTF-32: send it in UTF-8."
    if detail is not None:
        raise Problem(problems.MALFORMED_JSON, detail)


def refuse_doubled(body: bytes) -> None:
    """Raise Problem `malformed_json` where an object of *body*, which is valid JSON, has two members of one name.

    Readers of JSON differ in which of the two counts, so that a check before this one may have read another request.
    """
    # Where nothing is escaped a quote is the end of a string, and a member that was dropped took two of them along.
    if b"\\" in body or body.count(b'"') != _encode(_STRICT.decode(body)).count(b'"'):
        _scan_members(body.decode().lstrip(), 0)


def _refuse_doubled(members: list[tuple[str, Any]]) -> None:
    if len(dict(members)) != len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(problems.MALFORMED_JSON, f"An object of the body has the member {twice[:64]!r} twice.")


# The scanner of the standard library is the one that shows every member; it builds nothing here. Its integers have a
# length beyond which it fails, its floats have none.
_scan_members: Final = json.JSONDecoder(object_pairs_hook=_refuse_doubled, parse_int=float).scan_once  # type: ignore[attr-defined]  # typeshed lacks it


def _is_deeper(body: bytes, depth: int) -> bool:
    """Tell whether valid JSON is nested deeper than *depth*: peel off the innermost pairs, level by level."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    braces = _STRING.sub(b"", body).translate(_TO_BRACES, _NO_BRACKETS)
    for _ in range(depth):
        braces = braces.replace(b"{}", b"")
    return bool(braces)


def _too_deep() -> Problem:
    return Problem(problems.MALFORMED_JSON, f"The body is nested deeper than {DEPTH_MAX}.")


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes, pointer: str = "") -> T:
    """Return *body* as the decoder's type; raise Problem `malformed_json` or `invalid_request`.

    *pointer* is where *body* stands in the request, for a part that is decoded by itself.
    """
    try:
        decoded = decoder.decode(body)
        refuse_doubled(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        tree = check_json(body)
        raise invalid_request(field_error(error, tree, pointer)) from None
    if _ESCAPED_NUL in body:
        refuse_nul(check_json(body), pointer)
    return decoded


def refuse_body(body: bytes) -> None:
    """Raise Problem `invalid_request` where *body* says something to a route that takes none: `{}` says nothing."""
    if body and check_json(body) != {}:
        raise invalid_request(FieldError("", "unknown_field", "The route takes no body."))


def invalid_request(*errors: FieldError) -> Problem:
    """Return the problem of a body that is JSON but not what the route takes."""
    return Problem(problems.INVALID_REQUEST, "The request has invalid fields.", errors=errors)


def refuse_nul(tree: Any, pointer: str = "") -> None:
    """Raise Problem `invalid_request` where a string of *tree*, or a member's name, holds a NUL."""
    errors = [FieldError(at, "invalid_text", "The text holds a NUL.") for at in _nul_pointers(tree, pointer)]
    if errors:
        raise invalid_request(*errors)


def _nul_pointers(tree: Any, pointer: str) -> Iterator[str]:
    if isinstance(tree, str):
        if "\0" in tree:
            yield pointer
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _nul_pointers(item, f"{pointer}/{index}")
    elif isinstance(tree, dict):
        for name, item in tree.items():
            if "\0" in name:
                yield pointer
            yield from _nul_pointers(item, f"{pointer}/{escape(name)}")


def escape(name: str) -> str:
    """Return a member's name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


# What msgspec says, as far as a code follows from it. Tests pin every line against the locked version.
_MESSAGES: Final[Sequence[tuple[re.Pattern[str], str, str]]] = tuple(
    (re.compile(pattern), code, detail)
    for pattern, code, detail in (
        (r"Object missing required field `(?P<name>.*)`", "missing", "The field is required."),
        (r"Object contains unknown field `(?P<name>.*)`", "unknown_field", "The field is not known here."),
        (r"Expected `str` of length <= (?P<bound>\d+)", "too_long", "At most {bound} characters are allowed."),
        (r"Expected `str` of length >= (?P<bound>\d+)", "too_short", "At least {bound} characters are needed."),
        (r"Expected `(?:array|object)` of length <= (?P<bound>\d+)", "too_many", "At most {bound} are allowed."),
        (r"Expected `(?:array|object)` of length >= (?P<bound>\d+)", "too_few", "At least {bound} are needed."),
        (r"Expected `(?P<wanted>.+)`, got `(?P<got>\w+)`", "invalid_type", "Expected {wanted}, got {got}."),
        (r"Invalid UUID", "invalid_id", "The value is not an id."),
        (r"", "invalid_value", "The value is not one of those allowed."),
    )
)
_AT: Final = re.compile(r"^(?P<message>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?\Z", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|(?P<member>\[\.\.\.\])")
_JSON_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "array",
    dict: "object",
}


def field_error(error: Exception, tree: Any, pointer: str = "") -> FieldError:
    """Return what msgspec's *error* says about the parsed body *tree*; *pointer* is where the tree stands."""
    at = _AT.match(str(error))
    assert at is not None
    for pattern, code, detail in _MESSAGES:
        if (match := pattern.match(at["message"])) is not None:
            facts = match.groupdict()
            where = _locate(at["path"] or "", tree, _offends(at["message"], facts))
            name = facts.get("name")
            step = "" if name is None else f"/{escape(name)}"
            return FieldError(f"{pointer}{where}{step}", code, detail.format(**facts))
    raise AssertionError("the last pattern matches everything")


def _offends(message: str, facts: Mapping[str, str]) -> Callable[[Any], bool]:
    """Return a test for the member that msgspec, which does not name members of a map, refused."""
    if "got" in facts:
        return lambda value: _JSON_NAMES[type(value)] == facts["got"]
    if "bound" in facts and "<=" in message:
        return lambda value: isinstance(value, str | list | dict) and len(value) > int(facts["bound"])
    if "bound" in facts:
        return lambda value: isinstance(value, str | list | dict) and len(value) < int(facts["bound"])
    return lambda _value: False


def _locate(path: str, tree: Any, offends: Callable[[Any], bool]) -> str:
    """Return the JSON pointer of msgspec's *path* in *tree*."""
    pointer = ""
    for step in _STEP.finditer(path):
        if step["member"] is None:
            key: Any = step["field"] if step["index"] is None else int(step["index"])
        else:
            key = next((name for name, value in _members(tree) if offends(value)), None)
            if key is None:
                break
        pointer += f"/{escape(str(key))}"
        tree = tree[key] if _has(tree, key) else None
    return pointer


def _members(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, dict):
        yield from tree.items()
    elif isinstance(tree, list):
        yield from enumerate(tree)


def _has(tree: Any, key: Any) -> bool:
    return key in tree if isinstance(tree, dict) else isinstance(tree, list) and isinstance(key, int)
