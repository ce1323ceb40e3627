"""The authority of an API process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from contracts.scopes import Kind, mask_for
from servicekit.access.admission import Access, Authority, NotAuthenticated, require
from servicekit.principal import Principal, client_of
from servicekit.settings import Mode, ServiceSettings


class _SettingsAuthority:
    """Admits everybody in development as the principal that the settings name."""

    def __init__(self, settings: ServiceSettings) -> None:
        tenant_id, subject = settings.default_tenant_id, settings.development_subject
        self._is_development = settings.mode is Mode.DEVELOPMENT
        self._principal = Principal(
            tenant_id=tenant_id,
            subject=subject,
            client=client_of(tenant_id, subject),
            kind=Kind.OPERATOR,
            scopes=mask_for(Kind.OPERATOR),
            acts_for=None,
            credential_id="settings",
        )

    async def admit(self, _headers: Mapping[bytes, bytes], _peer: str | None, access: Access, /) -> Principal:
        """Return the settings' principal; raises NotAuthenticated outside development."""
        if not self._is_development:
            raise NotAuthenticated("No credentials are accepted yet: settings name a principal in development only.")
        require(self._principal, access.scope)
        return self._principal


@asynccontextmanager
async def open_authority(settings: ServiceSettings, given: Authority | None = None) -> AsyncIterator[Authority]:
    """Give the API's own authority, or the *given* one."""
    yield given or _SettingsAuthority(settings)
