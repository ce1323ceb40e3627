"""The rule file: YAML, checked key by key. Each error is reported with its line; nothing is guessed.

Every scalar is text until the schema says what it has to be, so that YAML's own ideas (dates, `no`, octal numbers) play
no part.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ValidationError
from yaml.reader import ReaderError

from fraud.domain.rules import RuleSet, RulesRefused, compressed, in_shadow
from fraud.rules.schema import RulesModel

BYTES_MAX: Final = 64 * 1024
ERRORS_MAX: Final = 20
"""More than these are not listed."""
DEPTH_MAX: Final = 8
_HASH_CHARACTERS: Final = 12
_BEGINS: Final = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_ENDS: Final = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclass(frozen=True, slots=True)
class _Fault:
    line: int
    place: str
    detail: str


def decoded(raw: bytes, *, source: str) -> str:
    """Return the text of a rule file; raises RulesRefused if it is too large or not UTF-8."""
    if len(raw) > BYTES_MAX:
        raise RulesRefused(f"{source}:1: the file is larger than {BYTES_MAX} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RulesRefused(f"{source}:{line}: not UTF-8") from None


def parse_rules(text: str, *, source: str, time_compression: int = 1, is_shadow: bool = False) -> RuleSet:
    """Return the rules that *text* writes, windows and cool-downs divided by *time_compression*.

    Raises RulesRefused, whose lines begin with *source*.
    """
    root = _composed(text, source)
    faults = list(_doubled_keys(root))
    model = None
    try:
        model = RulesModel.model_validate(yaml.load(text, Loader=yaml.BaseLoader))  # noqa: S506  makes nothing but text
    except ValidationError as error:
        faults += [_fault(root, each) for each in error.errors(include_url=False)]
    else:
        faults += _doubled_names(root, model)
    if faults or model is None:
        raise _refused(source, faults)
    rules = [compressed(each.rule(), time_compression) for each in model.rules]
    content_hash = hashlib.sha256(text.encode()).hexdigest()
    return RuleSet(
        version=_version(model.version, content_hash, time_compression, is_shadow=is_shadow),
        content_hash=content_hash,
        text=text,
        time_compression=time_compression,
        is_shadow=is_shadow,
        rules=tuple(in_shadow(rule) if is_shadow else rule for rule in rules),
    )


def _version(explicit: str, content_hash: str, time_compression: int, *, is_shadow: bool) -> str:
    """Return a version that no other rules have: it includes the settings that change decisions."""
    version = f"{explicit}+{content_hash[:_HASH_CHARACTERS]}"
    if time_compression != 1:
        version += f".x{time_compression}"
    return version + ".shadow" if is_shadow else version


def _composed(text: str, source: str) -> yaml.Node:
    try:
        _require_plain(text, source)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RulesRefused(f"{source}:{mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RulesRefused(f"{source}:{line}: a character that is not allowed in text") from None
    if not isinstance(root, yaml.MappingNode):
        raise RulesRefused(f"{source}:1: a mapping with version and rules is needed")
    return root


def _require_plain(text: str, source: str) -> None:
    """Refuse what makes YAML more than a tree of text, and what is nested so deeply that reading it takes long."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.BaseLoader):
        depth += isinstance(token, _BEGINS) - isinstance(token, _ENDS)
        if depth > DEPTH_MAX:
            raise RulesRefused(f"{source}:{token.start_mark.line + 1}: nested more than {DEPTH_MAX} deep")
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
            raise RulesRefused(f"{source}:{token.start_mark.line + 1}: anchors and tags are not allowed")


def _refused(source: str, faults: Iterable[_Fault]) -> RulesRefused:
    found = sorted(faults, key=lambda fault: fault.line)[:ERRORS_MAX]
    return RulesRefused("\n".join(f"{source}:{fault.line}: {fault.place}: {fault.detail}" for fault in found))


def _fault(root: yaml.Node, error: Any) -> _Fault:
    place = (*error["loc"], *([error["ctx"]["key"]] if "key" in error.get("ctx", {}) else []))
    return _located(root, place, error["msg"])


def _located(root: yaml.Node, place: tuple[str | int, ...], detail: str) -> _Fault:
    """Return the fault with the line of the deepest node on the way to *place*; what is not a node is left out."""
    node, line, names = root, root.start_mark.line, ""
    for step in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line, names = node.start_mark.line, f"{names}[{step}]"
        elif isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is not None:
                line, node = found[0].start_mark.line, found[1]
            if found is not None or step == place[-1]:
                names = f"{names}.{step}".removeprefix(".")
    return _Fault(line + 1, names or "file", detail)


def _doubled_keys(node: yaml.Node) -> Iterator[_Fault]:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _doubled_keys(child)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                yield _Fault(key.start_mark.line + 1, str(key.value), "the key is repeated, or is not text")
            elif isinstance(key.value, str):
                seen.add(key.value)
            yield from _doubled_keys(value)


def _doubled_names(root: yaml.Node, model: RulesModel) -> Iterator[_Fault]:
    seen = set()
    for number, rule in enumerate(model.rules):
        if rule.name in seen:
            yield _located(root, ("rules", number, "name"), f"another rule is named {rule.name} too")
        seen.add(rule.name)
