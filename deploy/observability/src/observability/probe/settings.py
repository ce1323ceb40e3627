"""The probe's settings: all of its environment."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, AnyHttpUrl, Field

from servicekit.settings import SecretFile, ServiceSettings

WEBHOOK_PATH: Final = "/webhook"


def _is_address(text: str) -> str:
    AnyHttpUrl(text)
    return text.rstrip("/")


_Address = Annotated[str, AfterValidator(_is_address)]


class ProbeSettings(ServiceSettings):
    """What the probe takes besides."""

    probe_port: int = Field(default=9489, ge=1, le=65_535, description="The port of its metrics, and of its webhook.")
    probe_every_s: float = Field(
        default=5.0,
        ge=1,
        le=3_600,
        description="How often it uses the platform, in seconds: more than one debit a second would look like theft.",
    )
    probe_step_s: float = Field(
        default=5.0, gt=0, le=60, description="How long a step may take, in seconds, before it has failed."
    )
    probe_key_file: SecretFile = Field(
        default=Path(".local/secrets/canary.key"), description="The file with the key of the canary tenant's account."
    )
    gateway_url: _Address = Field(default="http://127.0.0.1:8080", description="Where the platform is from outside.")
    probe_wallet_url: _Address | None = Field(
        default=None, description="The wallet's own API, unset: behind `GATEWAY_URL`."
    )
    probe_history_url: _Address | None = Field(
        default=None, description="The history's own API, unset: behind `GATEWAY_URL`."
    )
    probe_notifications_url: _Address | None = Field(
        default=None, description="The notifications' own API, unset: behind `GATEWAY_URL`."
    )
    probe_webhook_url: _Address | None = Field(
        default=None, description="Where the platform reaches its webhook, unset: `/webhook` on its port, on loopback."
    )

    @property
    def webhook_url(self) -> str:
        """Where webhooks are to be sent."""
        return self.probe_webhook_url or f"http://127.0.0.1:{self.probe_port}{WEBHOOK_PATH}"
