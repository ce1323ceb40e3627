"""The commands of the service, one line each: whatever lists commands, facts or kinds of rows is derived from here."""

from typing import Final

from wallet.domain.hold_commands import ExpireHold
from wallet.domain.quotes import ExpireQuote
from wallet.entrypoints import fx, holds, limits, money, payments, policy, refunds, restrictions, terms, wallets
from wallet.entrypoints.slices import Catalog

CATALOG: Final = Catalog(
    (
        wallets.OPEN,
        *money.SLICES,
        restrictions.FREEZE,
        restrictions.UNFREEZE,
        wallets.CLOSE,
        payments.PAY,
        *holds.SLICES,
        *fx.SLICES,
        *policy.SLICES,
        *limits.SLICES,
        *terms.SLICES,
        *refunds.SLICES,
    ),
    inner={ExpireHold: holds.answer_hold, ExpireQuote: fx.answer_quote},
)
