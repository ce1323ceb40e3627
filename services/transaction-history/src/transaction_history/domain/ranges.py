"""What part of a file a `Range` asks for (RFC 9110): one range of bytes; anything else is the whole file."""

import re
from typing import Final, NamedTuple

_ONE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


class ByteRange(NamedTuple):
    """From *start* up to but without *end*."""

    start: int
    end: int


class BeyondEnd(Exception):
    """The range begins behind the file's end, or has no byte."""


def range_of(asked: str | None, size: int) -> ByteRange | None:
    """Return the part of a file of *size* bytes that is *asked* for, None for all of it; raises BeyondEnd."""
    match = None if asked is None else _ONE.fullmatch(asked)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), size if match[2] == "" else min(size, int(match[2]) + 1)
        if match[2] != "" and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise BeyondEnd
    return ByteRange(start, end)
