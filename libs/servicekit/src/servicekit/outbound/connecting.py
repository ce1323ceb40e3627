"""A connection to a vetted address itself, with the name kept for TLS: no second look-up that could lead elsewhere."""

import asyncio
import ssl
from typing import Final

from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import Target

ADDRESSES_TRIED_MAX: Final = 3
READ_BYTES_MAX: Final = 16 * 1_024
TLS_END_S: Final = 1.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(target: Target, address: Address, tls: ssl.SSLContext) -> Streams:
    """Connect to *address*, one that *target* was vetted at; raises OSError, ssl.SSLError among them."""
    if not target.is_encrypted:
        return await asyncio.open_connection(str(address), target.port, limit=READ_BYTES_MAX)
    return await asyncio.open_connection(
        str(address),
        target.port,
        limit=READ_BYTES_MAX,
        ssl=tls,
        server_hostname=target.host,
        ssl_shutdown_timeout=TLS_END_S,
    )
