"""What the players share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from demo.figures import PlayFigures
from demo.findings import Findings
from demo.http_client import HttpPool
from demo.record import Record


@dataclass(slots=True)
class Session:
    """The API, the record of what it acknowledged, and what was found out.

    *on_done* is called with the number of operations just played; *tripped* are the wallets, by name, that played lines
    must have the fraud service restrict; *token_of* returns the token of an owner.
    """

    pool: HttpPool
    record: Record
    token_of: Callable[[str], str]
    findings: Findings = field(default_factory=Findings)
    figures: PlayFigures = field(default_factory=PlayFigures)
    tripped: list[str] = field(default_factory=list)
    on_done: Callable[[int], None] = lambda _: None

    def close(self) -> None:
        """Close connections and file."""
        self.pool.close()
        self.record.close()
