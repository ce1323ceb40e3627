"""A list of parts lacks nothing that is installed, and says of each where it comes from and what it asks."""

from typing import Any

import pytest
from tests.supply.listing import Archive, Installed, Listing, complete, is_forbidden, unlike_schema, wrong_with

MIT = {"license": {"id": "MIT"}}
INSTALLED = {"thing": Installed("1.0", None), "wallet": Installed("0.1.0", None)}


def part(name: str = "thing", version: str = "1.0", **besides: Any) -> Listing:
    """Return a part with a licence and a hash."""
    hashes = [{"alg": "SHA-256", "content": "ab" * 32}]
    return {"type": "library", "name": name, "version": version, "licenses": [MIT], "hashes": hashes, **besides}


def listing(*parts: Listing, version: str = "1.6") -> Listing:
    """Return the list of the image `wallet` with *parts*."""
    root = {
        "type": "application",
        "name": "wallet",
        "version": "0.1.0",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "metadata": {"component": root},
        "components": list(parts),
    }


def wrong(found: Listing) -> list[str]:
    """Return what is wrong with *found*, where `thing` and the image's own package are installed."""
    return list(wrong_with(found, INSTALLED, {"wallet"}))


def test_a_whole_list_is_right() -> None:
    assert wrong(listing(part("Thing"))) == []
    assert list(unlike_schema(listing(part("Thing")))) == []


def test_what_the_schema_does_not_know_is_told() -> None:
    (sentence,) = unlike_schema(listing(part(colour="red")))

    assert sentence.startswith("it is not what the schema of CycloneDX 1.6 allows: ")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (listing(), "thing 1.0 is installed and not in it"),
        (listing(part(version="1.1")), "thing 1.0 is installed and not in it"),
        (listing(part(), part("other")), "other is in it and not installed"),
        (listing(part(hashes=[])), "thing has no hash"),
        (listing(part(licenses=[])), "thing has no licence"),
        (
            listing(part(licenses=[MIT, {"expression": "GPL-3.0-only"}])),
            "thing has the licence GPL-3.0-only, which is not allowed",
        ),
        (listing(part(), version="1.5"), "it is not CycloneDX 1.6"),
    ],
)
def test_what_is_missing_or_forbidden_is_told(found: Listing, sentence: str) -> None:
    assert wrong(found) == [sentence]


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("GPL-2.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("SSPL-1.0", True),
        ("Apache-2.0 AND GPL-2.0-only", True),
        ("MIT OR GPL-2.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", False),
        ("3-Clause BSD License", False),
    ],
)
def test_a_licence_is_forbidden_where_it_leaves_no_choice(licence: str, *, forbidden: bool) -> None:
    assert is_forbidden(licence) is forbidden


def test_a_list_is_completed_with_hashes_of_the_same_version_and_with_licences_in_words() -> None:
    found = listing(part(hashes=[], licenses=[]), part("other", hashes=[]))
    archives = {"thing": Archive("1.0", "cd"), "other": Archive("2.0", "ef")}

    first, second = complete(found, archives, {"thing": Installed("1.0", "3-Clause BSD License")})["components"]

    assert first["hashes"] == [{"alg": "SHA-256", "content": "cd"}]
    assert first["licenses"] == [{"license": {"name": "3-Clause BSD License", "acknowledgement": "declared"}}]
    assert second["hashes"] == []
