"""JSON and base64url as credentials need them: what two readers could read differently is refused. Pure."""

import base64
import binascii
import json
import re
from typing import Any, Final, NoReturn

_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")


class NotStrict(ValueError):
    """The bytes are not what they should be, or could be read in two ways."""


def base64url_bytes(text: bytes) -> bytes:
    """Return the bytes that *text* encodes without padding; raises NotStrict for any but the one way to write them."""
    if _BASE64URL.fullmatch(text) is None:
        raise NotStrict("not base64url")
    try:
        raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise NotStrict("not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text:
        raise NotStrict("bits beyond the last byte")
    return raw


def object_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that *raw* is, in UTF-8.

    Raises NotStrict for anything else, for two members of one name at any depth, for NaN and infinity, and for text
    that is no Unicode.
    """
    try:
        tree = json.loads(raw.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotStrict("not one JSON object") from None
    if not isinstance(tree, dict):
        raise NotStrict("not one JSON object")
    return tree


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a member stands twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise NotStrict(constant)
