"""What admission costs: transfers over HTTP with an authority that admits whoever asks, and with the product's.

The product's side is asked under one backend's key, under the tokens of many users, and with one request in twenty
under a token that the process has never seen.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Final

from tests.load import cells
from tests.load.database import Bench
from tests.load.generator import Load
from tests.load.processes import Process, apis
from tests.load.series import Series

from contracts.access import ClaimMapping
from testkit.identities import CLIENTS_KEY, TestIssuer, introduce

USERS: Final = 1_000
PRIMING_CONNECTIONS: Final = 16
PRIMING_S: Final = 4.0
"""Long enough for every user to have asked once before anything is timed."""
FRESH_PER_S: Final = 600
"""Tokens never seen; more than a twentieth of what one process answers in a second."""
OWNER: Final = "bench"
"""Of every wallet of the benchmark."""
_SIDES: Final = ("open", "key", "users", "fresh")
# Users come through a gateway, each from an address of its own.
_SETTINGS: Final = {"TRUSTED_PROXIES": "127.0.0.0/8"}


async def measure(bench: Bench, series: Series, *, rounds: int, seconds: float, connections: int) -> None:
    """Add a rate per side and round, the sides in turn."""
    issuer = TestIssuer(claims=ClaimMapping(owners_claim="owners"))
    await introduce(bench.database.dsn_app, issuer.event())
    users = [caller(issuer.token(f"user-{number}", owners=[OWNER]), number) for number in range(USERS)]
    async with (
        apis(bench.database, module=("tests.load.open_api",)) as opened,
        apis(bench.database, settings=_SETTINGS) as admitting,
    ):
        known = Load(wallet_ids=bench.wallet_ids, connections=PRIMING_CONNECTIONS, seconds=PRIMING_S, callers=users)
        await cells.http(admitting, known)
        for _ in range(rounds):
            for side in _SIDES:
                processes: Sequence[Process] = opened if side == "open" else admitting
                load = Load(
                    wallet_ids=bench.wallet_ids,
                    connections=connections,
                    seconds=seconds,
                    callers=users if side in {"users", "fresh"} else [caller(CLIENTS_KEY.text)],
                    fresh=_fresh(issuer, seconds) if side == "fresh" else None,
                )
                series.add(f"access {side}", await cells.http(processes, load))


def caller(credential: str, number: int | None = None) -> str:
    """Return the lines of a request's head that say who sends it."""
    forwarded = (
        "" if number is None else f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}\r\n"
    )
    return f"Authorization: Bearer {credential}\r\n{forwarded}"


def _fresh(issuer: TestIssuer, seconds: float) -> deque[str]:
    made = secrets.token_hex(4)
    return deque(
        caller(issuer.token(f"fresh-{made}-{number}", owners=[OWNER]), USERS + number)
        for number in range(int(FRESH_PER_S * seconds) + 100)
    )
