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


DATABASES: Final = [
    (settings, name) for settings in SETTINGS for name in settings.model_fields if name.endswith("database_url")
]


def in_production(settings: type[ServiceSettings], **given: Any) -> ServiceSettings:
    """Return *settings* outside development: all that is required is there, every secret is its own but for *given*."""
    required = {name: "postgresql://localhost" for name, field in settings.model_fields.items() if field.is_required()}
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


@pytest.mark.parametrize(("settings", "name"), DATABASES)
def test_no_service_starts_in_production_with_a_database_in_the_clear(
    settings: type[ServiceSettings], name: str
) -> None:
    with pytest.raises(ValidationError, match=f"{name.upper()} leads beyond this machine"):
        in_production(settings, **{name: "postgresql://db.internal"})


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_service_starts_in_production_with_brokers_in_the_clear(settings: type[ServiceSettings]) -> None:
    with pytest.raises(ValidationError, match="KAFKA_BOOTSTRAP_SERVERS leads beyond this machine"):
        in_production(settings, kafka_bootstrap_servers="broker:9092")


def test_every_database_is_named_so_that_its_address_is_looked_at() -> None:
    named_otherwise = {
        name
        for settings in SETTINGS
        for name in settings.model_fields
        if "database" in name and not name.endswith("database_url")
    }

    assert len(DATABASES) >= 3 * 5
    assert named_otherwise == set()


def test_every_client_of_the_brokers_is_made_in_one_way() -> None:
    sources = [*(ROOT / "libs" / "servicekit" / "src").rglob("*.py"), *(ROOT / "services").glob("*/src/**/*.py")]
    made = re.compile(r"AIOKafka(?:Consumer|Producer|AdminClient)\(([^()]*)")
    clients = [call for file in sources for call in made.findall(file.read_text())]

    assert clients
    assert [call for call in clients if "brokers.client" not in call] == []


def test_every_service_and_every_source_of_a_restriction_is_a_reserved_subject() -> None:
    services = {folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir()}

    assert services | {FRAUD, OPERATOR} <= SERVICE_SUBJECTS
