"""What an audit of a lock found out, and whether it looked at everything in it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True)
class Clean:
    """Every package was looked at, and none is known to be vulnerable."""

    packages: int


@dataclass(frozen=True, slots=True)
class Vulnerable:
    """Every package was looked at; *found* are sentences, one for each vulnerability."""

    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not every package was looked at, for the *reason*: nothing can be said."""

    reason: str


Judgement = Clean | Vulnerable | Unknown


def judge(lock: str, output: str, errors: str) -> Judgement:
    """Return what pip-audit's JSON *output* and its *errors* say of a lock's text.

    What it skipped is as unknown as what it did not mention: by itself it passes over both.
    """
    try:
        told = {str(canonicalize_name(each["name"])): each for each in json.loads(output)["dependencies"]}
    except (ValueError, KeyError, TypeError):
        return Unknown(_last_line(errors) or "pip-audit told nothing")
    skipped = [f"{name}: {each['skip_reason']}" for name, each in told.items() if "skip_reason" in each]
    if skipped:
        return Unknown(f"{len(skipped)} packages were skipped, first {skipped[0]}")
    wanted = pinned(lock)
    passed_over = sorted(name for name, version in wanted.items() if told.get(name, {}).get("version") != version)
    if passed_over:
        return Unknown(f"{len(passed_over)} packages were passed over, first {passed_over[0]}")
    found = tuple(_sentence(name, each, one) for name, each in told.items() for one in each["vulns"])
    return Vulnerable(found) if found else Clean(len(told))


def pinned(lock: str) -> dict[str, str]:
    """Return the version of each package that the text of a *lock* has for this Python, by its canonical name."""
    found = {}
    for line in lock.splitlines():
        if line and not line.startswith(("#", " ", "-")):
            requirement = Requirement(line.rstrip("\\ "))
            (pin,) = requirement.specifier
            if requirement.marker is None or requirement.marker.evaluate():
                found[str(canonicalize_name(requirement.name))] = pin.version
    return found


def _sentence(name: str, package: Mapping[str, Any], vulnerability: Mapping[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions", ())) or "no version"
    return f"{name} {package['version']}: {vulnerability['id']}, mended in {fixed}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
