"""Writes `docs/settings.md` from settings classes: `python -m servicekit.settings_page wallet.config:ApiSettings …`."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from servicekit.settings import ServiceSettings

SettingsClass = type[ServiceSettings]

_HEAD = """\
# Settings

Every setting is an environment variable, read once when a process starts. Made by `make docs` from its class.

The rates of limits on abuse are no settings: [limits](architecture/limits.md) has them, and who sets a tenant's own.

"""
_TABLE = "| variable | default | what |\n|---|---|---|\n"


def settings_page(classes: Sequence[SettingsClass]) -> str:
    """Return the page as Markdown: what every process takes, then what each class adds."""
    sections = [_section("Every process", "Taken by every process of every service.", ServiceSettings, set())]
    shared = set(ServiceSettings.model_fields)
    for cls in classes:
        title = f"`{cls.__module__}.{cls.__name__}`"
        sections.append(_section(title, (cls.__doc__ or "").strip().splitlines()[0], cls, shared))
    return _HEAD + "\n".join(sections)


def load(path: str) -> SettingsClass:
    """Return the settings class that *path* (`module:Class`) names."""
    module, _, name = path.partition(":")
    cls: SettingsClass = getattr(importlib.import_module(module), name)
    return cls


def _section(title: str, first_line: str, cls: SettingsClass, known: set[str]) -> str:
    prefix = str(cls.model_config.get("env_prefix", ""))
    rows = [_row(prefix, name, field) for name, field in cls.model_fields.items() if name not in known]
    return f"## {title}\n\n{first_line}\n\n{_TABLE}" + "\n".join(rows) + "\n"


def _row(prefix: str, name: str, field: FieldInfo) -> str:
    assert field.description, f"the setting {name} has no description"
    alias = field.validation_alias
    variable = alias if isinstance(alias, str) else prefix + name
    return f"| `{variable.upper()}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=False)
    if default is PydanticUndefined:
        return "required" if field.is_required() else "made"
    if default is None:
        return "unset"
    return f"`{default.as_posix() if isinstance(default, Path) else default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_page([load(path) for path in sys.argv[1:]]))
