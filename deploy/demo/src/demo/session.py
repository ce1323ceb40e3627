"""What the players share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from demo.figures import PlayFigures
from demo.findings import Findings
from demo.http_client import HttpPool
from demo.kept import Kept
from demo.record import Record


@dataclass(slots=True)
class Session:
    """The API, the record of what it acknowledged, and what was found out.

    *token_of* returns the token of an owner, *operator* is the key of somebody of the staff. *on_done* is called with
    the number of operations just played; *tripped* are the wallets, by name, that played lines must have the fraud
    service restrict; *kept* is what the model says is left.
    """

    pool: HttpPool
    record: Record
    token_of: Callable[[str], str]
    operator: str
    findings: Findings = field(default_factory=Findings)
    figures: PlayFigures = field(default_factory=PlayFigures)
    tripped: list[str] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    on_done: Callable[[int], None] = lambda _: None

    def close(self) -> None:
        """Close connections and file."""
        self.pool.close()
        self.record.close()
