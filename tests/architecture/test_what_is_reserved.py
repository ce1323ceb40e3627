"""What is for development or for our own processes alone is refused elsewhere, in every service."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr, ValidationError

from servicekit.principal import SERVICE_SUBJECTS
from servicekit.settings import ServiceSettings
from servicekit.settings_page import load
from wallet.domain.wallets import FRAUD
from wallet.entrypoints.restrictions import OPERATOR

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = [
    load(path) for path in re.findall(r"[a-z_]+\.config:[A-Za-z]+", (ROOT / "Makefile").read_text(encoding="utf-8"))
]
SECRETS: Final = [
    (settings, name)
    for settings in SETTINGS
    for name, field in settings.model_fields.items()
    if field.annotation is SecretStr and not field.is_required()
]


def in_production(settings: type[ServiceSettings], **given: Any) -> ServiceSettings:
    """Return *settings* outside development: all that is required is there, every secret is its own but for *given*."""
    required = {name: "postgresql://nowhere" for name, field in settings.model_fields.items() if field.is_required()}
    own = {name: f"1:{'A' * 43}=" for owner, name in SECRETS if owner is settings}
    return settings.model_validate({"mode": "production", **required, **own, **given})


def test_the_secrets_are_found() -> None:
    assert {name for _, name in SECRETS} >= {"wallet_reference_key", "notifications_secret_keys"}


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_service_starts_in_production_with_secrets_of_its_own(settings: type[ServiceSettings]) -> None:
    assert in_production(settings).mode == "production"


@pytest.mark.parametrize(("settings", "name"), SECRETS)
def test_no_service_starts_in_production_with_a_secret_for_development(
    settings: type[ServiceSettings], name: str
) -> None:
    with pytest.raises(ValidationError, match=name.upper()):
        in_production(settings, **{name: settings.model_fields[name].default})


def test_every_service_and_every_source_of_a_restriction_is_a_reserved_subject() -> None:
    services = {folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir()}

    assert services | {FRAUD, OPERATOR} <= SERVICE_SUBJECTS
