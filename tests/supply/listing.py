"""A list of an image's parts (CycloneDX), and what it must be like: whole, with versions, hashes and licences. Pure."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

Listing = dict[str, Any]

SPEC_VERSION: Final = "1.6"
FORBIDDEN: Final = re.compile(
    r"\b(?:AGPL|GPL|SSPL|BUSL|CPOL|OSL|EUPL|CC-BY-NC)|"
    r"GNU (?:Affero )?General Public|Server Side Public|Business Source|Commons Clause",
    re.IGNORECASE,
)
"""Licences that ask of whoever runs or passes on the platform what its own does not. LGPL and MPL are none of them."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The file that a distribution was installed from: its version, and the SHA-256 of the file in hex."""

    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution of an environment: its version, and what it says of its licence in words of its own."""

    version: str
    licence: str | None


def complete(listing: Listing, archives: Mapping[str, Archive], installed: Mapping[str, Installed]) -> Listing:
    """Return *listing* with the hash of each part's archive, and a licence that is told in free words alone.

    *archives* and *installed* are by canonical name.
    """
    parts = []
    for part in listing["components"]:
        name = str(canonicalize_name(part["name"]))
        added: Listing = {}
        archive = archives.get(name)
        if archive is not None and archive.version == part["version"]:
            added["hashes"] = [{"alg": "SHA-256", "content": archive.sha256}]
        there = installed.get(name)
        if not part.get("licenses") and there is not None and there.licence:
            added["licenses"] = [{"license": {"name": there.licence, "acknowledgement": "declared"}}]
        parts.append({**part, **added})
    return {**listing, "components": parts}


def wrong_with(listing: Listing, installed: Mapping[str, Installed], own: Collection[str]) -> Iterator[str]:
    """Give what is wrong with *listing*, a sentence each.

    *installed* are an environment's distributions by canonical name, *own* those that are no archive but the
    repository's own packages.
    """
    if listing.get("specVersion") != SPEC_VERSION:
        yield f"it is not CycloneDX {SPEC_VERSION}"
    described = (listing["metadata"]["component"], *listing["components"])
    parts = {str(canonicalize_name(part["name"])): part for part in described}
    for name, distribution in installed.items():
        if name not in parts or parts[name]["version"] != distribution.version:
            yield f"{name} {distribution.version} is installed and not in it"
    for name, part in parts.items():
        if name not in installed:
            yield f"{name} is in it and not installed"
        if name not in own and not part.get("hashes"):
            yield f"{name} has no hash"
        yield from wrong_licences(name, part)


def unlike_schema(listing: Listing) -> Iterator[str]:
    """Give the sentence about where *listing* is not what the schema of CycloneDX allows, if there is such a place."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(listing))
    if error is not None:
        yield f"it is not what the schema of CycloneDX {SPEC_VERSION} allows: {str(error).splitlines()[0]}"


def wrong_licences(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    """Give what is wrong with the licences of *part*, which is called *name*."""
    licences = licences_of(part)
    if not licences:
        yield f"{name} has no licence"
    for licence in licences:
        if is_forbidden(licence):
            yield f"{name} has the licence {licence}, which is not allowed"


def licences_of(part: Mapping[str, Any]) -> list[str]:
    """Return what *part* says of its licences: identifiers, names or an expression."""
    found = []
    for each in part.get("licenses", ()):
        licence = each.get("license", {})
        found.append(each.get("expression") or licence.get("id") or licence.get("name") or "")
    return [each for each in found if each]


def is_forbidden(licence: str) -> bool:
    """Tell whether *licence* leaves nobody a choice but one that is forbidden."""
    choices = re.split(r"\s+OR\s+", licence.strip("()"))
    return all(FORBIDDEN.search(each.replace("LGPL", "")) is not None for each in choices)
