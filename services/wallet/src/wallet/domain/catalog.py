"""What may happen and what is locked besides wallets: the facts and the kinds of rows of every capability."""

from typing import Final

from wallet.domain import lifecycle, money, restrictions
from wallet.domain.facts import Fact
from wallet.domain.rows import RowKind

FACTS: Final[tuple[type[Fact], ...]] = (
    lifecycle.WalletOpened,
    lifecycle.WalletClosed,
    money.FundsDeposited,
    money.FundsWithdrawn,
    money.FundsSent,
    money.FundsReceived,
    restrictions.WalletRestricted,
    restrictions.WalletUnrestricted,
)
KINDS: Final[tuple[RowKind, ...]] = ()
