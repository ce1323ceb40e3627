"""What a command is: what somebody wants done, parsed and valid in itself. Amounts are positive minor units."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from wallet.domain.mandate import Mandate
from wallet.domain.outcomes import Decision, Unnamed
from wallet.domain.policy import NO_POLICY, PolicyInForce
from wallet.domain.rows import RowName, Rows, UnnamedRowError
from wallet.domain.wallets import Wallet


@dataclass(frozen=True, slots=True)
class Ids:
    """Makes ids. They are given to the rules, which know no randomness.

    *beside* returns a new id in the shard of a given one: what is made stands with its home wallet. *placed* returns a
    new wallet's, in the shard of a tenant's placement group.
    """

    beside: Callable[[UUID], UUID]
    placed: Callable[[UUID, str], UUID]


class Context(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf a command is decided, at what time, and by which policy."""

    mandate: Mandate
    now: datetime
    ids: Ids
    policy: PolicyInForce = NO_POLICY

    def own(self, rows: Rows, wallet_id: UUID) -> Wallet | None:
        """Return the wallet if the mandate covers its owner, else None, as if there were none."""
        wallet = rows.wallet(wallet_id, self.mandate.tenant_id)
        return wallet if wallet is not None and self.mandate.covers(wallet.owner_id) else None

    def any(self, rows: Rows, wallet_id: UUID) -> Wallet | None:
        """Return the tenant's wallet, whoever owns it: money may go to all of them."""
        return rows.wallet(wallet_id, self.mandate.tenant_id)


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command. Its members are what its fingerprint is made of: one that is added has a default."""

    kind: ClassVar[str]
    """Its name in metrics and fingerprints."""
    moves_money: ClassVar[bool] = False
    """Whether it is refused while a wallet's clock is not believed."""

    @property
    def debits(self) -> UUID | None:
        """The wallet whose money it takes, None if it takes none."""
        return None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the rows that the command reads or changes, as far as *known* rows tell.

        They are found through links that never change, and are locked, or checked to be as they were read, when the
        command is committed.
        """
        raise NotImplementedError

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Return what the command does to *rows*, or why it is refused; raises UnnamedRowError.

        A wallet whose newest event is later than the context's time keeps its own time.
        """
        raise NotImplementedError


def decide(command: Command, rows: Rows, context: Context) -> Decision:
    """Return what *command* does to *rows*, or why it is refused."""
    try:
        return command.decide(rows, context)
    except UnnamedRowError as error:
        return Unnamed(error.name)
