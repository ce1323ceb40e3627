"""What the probe has at the platform: two wallets, and an endpoint for webhooks. Made once, found again afterwards."""

from dataclasses import dataclass
from typing import Any, Final

from observability.probe.inbox import Inbox
from observability.probe.platform import Platform

PAYER: Final = "canary-payer"
PAYEE: Final = "canary-payee"
CURRENCY: Final = "USD"
ENDPOINTS: Final = "/v1/webhook-endpoints"
DESCRIPTION: Final = "canary"
TOLD_OF: Final = "wallet.funds_received.v1"


@dataclass(frozen=True, slots=True)
class Wallets:
    """The two wallets' ids."""

    payer: str
    payee: str


async def find_wallets(platform: Platform) -> Wallets:
    """Return the wallets, opened if they are not there; raises Failed."""
    return Wallets(await _wallet_of(platform, PAYER), await _wallet_of(platform, PAYEE))


async def _wallet_of(platform: Platform, owner: str) -> str:
    address = platform.addresses.wallet
    page = await platform.read(address, f"/v1/wallets?owner_id={owner}&currency={CURRENCY}")
    known: list[dict[str, Any]] = page["data"]
    usable = [each["id"] for each in known if each["status"] == "open" and not each["restrictions"]]
    if usable:
        return str(min(usable))
    # Under a key that says how many there were, so that two probes that start at once open one between them.
    body = {"owner_id": owner, "currency": CURRENCY, "label": DESCRIPTION}
    opened = await platform.command(address, "/v1/wallets", body, idempotency_key=f"{owner}-{len(known)}")
    return str(opened.json()["id"])


class Endpoint:
    """The endpoint at which *inbox* is told of what the payee receives."""

    def __init__(self, platform: Platform, inbox: Inbox, url: str) -> None:
        self._platform = platform
        self._inbox = inbox
        self._url = url
        self._address = platform.addresses.notifications
        self._id: str | None = None

    async def ensure(self, wallets: Wallets) -> None:
        """Make the endpoint unless this process has made one that is still there; raises Failed."""
        if self._id is not None and await self._is_active(self._id):
            return
        await self._remove_others()
        body = {"url": self._url, "description": DESCRIPTION, "event_types": [TOLD_OF], "wallet_ids": [wallets.payee]}
        made = (await self._platform.command(self._address, ENDPOINTS, body)).json()
        self._inbox.trust(made["secret"])
        self._id = str(made["id"])

    async def _is_active(self, endpoint_id: str) -> bool:
        return any(each["id"] == endpoint_id and each["status"] == "active" for each in await self._all())

    async def _remove_others(self) -> None:
        """Remove those of probes that ended: nobody knows their secret any more."""
        for each in await self._all():
            if each["description"] == DESCRIPTION:
                await self._platform.delete(self._address, f"{ENDPOINTS}/{each['id']}")

    async def _all(self) -> list[dict[str, Any]]:
        page = await self._platform.read(self._address, f"{ENDPOINTS}?limit=200")
        found: list[dict[str, Any]] = page["data"]
        return found
