"""The canary: a tenant of the operator's own, whose wallets a probe uses as a customer would."""

from typing import Final
from uuid import UUID

TENANT_ID: Final = UUID("00000000-0000-7000-8000-00000000ca9a")
"""Left out of business figures."""
