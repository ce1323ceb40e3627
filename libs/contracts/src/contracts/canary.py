"""The tenant whose transactions are made to see that the platform works: they are no business of anybody's."""

from typing import Final
from uuid import UUID

TENANT_ID: Final = UUID("00000000-0000-7000-8000-0000000000ca")
"""The same everywhere, so that figures of business leave it out without a setting."""
