"""The mandate that a caller gives its commands and reads."""

from servicekit.principal import Principal
from wallet.domain.mandate import Mandate


def mandate_of(principal: Principal) -> Mandate:
    """Return what *principal* may reach."""
    return Mandate(principal.tenant_id, principal.kind, principal.acts_for, principal.client)
