"""What the OpenAPI document says of an operation's answers: refusals by status, and where an answer leads."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from contracts.problems import ProblemCode
from servicekit.http.problems import FieldError
from servicekit.http.route import Link

BYTES: Final[Mapping[str, str]] = {"type": "string", "format": "binary"}
"""The schema of a file."""
REF: Final = "#/components/schemas/{name}"


class ProblemDocument(msgspec.Struct, kw_only=True):
    """A problem document (RFC 9457); members beyond these are facts of its code."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldError] = []


def declared(*codes: ProblemCode) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a page: what it refuses."""
    return {int(status): told for status, told in refusals(codes).items()}


def refusals(codes: Iterable[ProblemCode]) -> dict[str, dict[str, Any]]:
    """Return what the document says of *codes*, by status."""
    by_status: dict[str, list[ProblemCode]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(str(code.status), []).append(code)
    schema = {"$ref": REF.format(name=ProblemDocument.__name__)}
    return {
        status: {
            "description": " ".join(f"`{code.code}`: {code.title}." for code in found),
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def headers_of(described: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the headers of an answer, which are all text."""
    return {name: {"description": said, "schema": {"type": "string"}} for name, said in described.items()}


def links_of(links: Iterable[Link]) -> dict[str, dict[str, Any]]:
    """Return the links of an answer by name, which is that of the operation they lead to."""
    return {operation: {"operationId": operation, "parameters": parameters} for operation, parameters in links}


def page_content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the document says of a page: its media type and its schema."""
    return {"description": "The page.", "content": {media_type: {"schema": schema}}}
